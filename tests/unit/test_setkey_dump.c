/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of setkey -D, -DP, -l, -v: byte for byte, from messages that the codec built. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "setkey/dump.h"
#include "setkey/monitor.h"
#include "setkey/print.h"

/* 2027-01-10 09:00:00 UTC, the day of the examples in the specification. */
#define CREATED 1799571600

static uint8_t buf[4096];
static size_t len;

static const struct tdo_addr a4 = {.af = TDO_AF_INET, .b = {192, 0, 2, 10}};
static const struct tdo_addr b4 = {.af = TDO_AF_INET, .b = {192, 0, 2, 20}};
static const struct tdo_addr a6 = {.af = TDO_AF_INET6, .b = {0x20, 1, 0x0d, 0xb8, [15] = 1}};
static const struct tdo_addr b6 = {.af = TDO_AF_INET6, .b = {0x20, 1, 0x0d, 0xb8, [15] = 2}};

static void
begin(struct tdo_wr *w, uint8_t type, uint8_t satype)
{
	*w = tdo_wr_init(buf, sizeof(buf));
	tdo_sadb_begin(
	    w, &(struct tdo_sadb_base){.type = type, .satype = satype, .reserved = 1, .pid = 4711});
}

static struct tdo_sadb_msg
end(struct tdo_wr *w)
{
	struct tdo_sadb_msg m = {0};
	struct tdo_sadb_err err;

	len = tdo_sadb_end(w);
	if (len == 0 || tdo_sadb_parse(buf, len, &m, &err) != 0)
		fail_msg("the message does not parse");
	return m;
}

static struct tdo_sa_info
example_sa(void)
{
	static const uint8_t ekey[16] = {0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99,
	    0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff};
	static const char akey[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

	return (struct tdo_sa_info){
	    .param = {.key = {.satype = TDO_SATYPE_ESP, .spi = 4097, .src = a4, .dst = b4},
		.mode = TDO_MODE_TRANSPORT,
		.state = TDO_SA_MATURE,
		.reqid = 7,
		.replay = 32,
		.ealg = 12,
		.aalg = 5,
		.ekey = ekey,
		.akey = (const uint8_t *)akey,
		.ekey_bits = 128,
		.akey_bits = 256,
		.hard = {.addtime = 3600},
		.soft = {.addtime = 2880},
		.has_hard = true,
		.has_soft = true},
	    .current = {.addtime = CREATED, .bytes = 420, .allocations = 5},
	    .last_used = CREATED + 41,
	    .out_seq = 5};
}

/* Compares the text that print writes; frees it. */
#define PRINTED(want, call)                                                                        \
	do {                                                                                       \
		char *text_ = NULL;                                                                \
		size_t size_;                                                                      \
		FILE *f = open_memstream(&text_, &size_);                                          \
		call;                                                                              \
		fclose(f);                                                                         \
		assert_string_equal(text_, want);                                                  \
		free(text_);                                                                       \
	} while (0)

static void
sa_as_in_the_specification(void **state)
{
	struct tdo_sa_info info = example_sa();
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_DUMP, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_info(&w, &info, true);
	m = end(&w);
	PRINTED("192.0.2.10 192.0.2.20 \n"
		"\tesp mode=transport spi=4097(0x00001001) reqid=7(0x00000007)\n"
		"\tE: aes-cbc  00112233 44556677 8899aabb ccddeeff\n"
		"\tA: hmac-sha256  61616161 61616161 61616161 61616161 61616161 61616161 61616161 "
		"61616161\n"
		"\tseq=0x00000005 replay=4 flags=0x00000000 state=mature \n"
		"\tcreated: Jan 10 09:00:00 2027\tcurrent: Jan 10 09:00:42 2027\n"
		"\tdiff: 42(s)\thard: 3600(s)\tsoft: 2880(s)\n"
		"\tlast: Jan 10 09:00:41 2027\thard: 0(s)\tsoft: 0(s)\n"
		"\tcurrent: 420(bytes)\thard: 0(bytes)\tsoft: 0(bytes)\n"
		"\tallocated: 5\thard: 0\tsoft: 0\n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED + 42, false));
	PRINTED("09:00:42 E M 0x00001001 42/3600 192.0.2.10 -> 192.0.2.20\n",
	    tdo_dump_sa_line(f, &m, CREATED + 42));
}

/* Keys of more than 32 bytes are broken; dates that are not set are blank; ports by -p. */
static void
long_key_no_dates(void **state)
{
	static const uint8_t key[36] = {1, [31] = 0xfe, [32] = 0xAB};
	struct tdo_sa_info info = {
	    .param = {.key = {.satype = TDO_SATYPE_ESP, .spi = 0xffffffff, .src = a6, .dst = b6},
		.mode = TDO_MODE_TUNNEL,
		.state = TDO_SA_DYING,
		.flags = TDO_SAF_CYCSEQ,
		.ealg = 20,
		.ekey = key,
		.ekey_bits = 288}};
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_DUMP, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_info(&w, &info, true);
	m = end(&w);
	PRINTED("2001:db8::1[0] 2001:db8::2[0] \n"
		"\tesp mode=tunnel spi=4294967295(0xffffffff) reqid=0(0x00000000)\n"
		"\tE: aes-gcm-16  01000000 00000000 00000000 00000000 00000000 00000000 00000000 "
		"000000fe\n ab000000\n"
		"\tseq=0x00000000 replay=0 flags=0x00000040 state=dying \n"
		"\tcreated:                     \tcurrent: Jan 10 09:00:00 2027\n"
		"\tdiff: 0(s)\thard: 0(s)\tsoft: 0(s)\n"
		"\tlast:                     \thard: 0(s)\tsoft: 0(s)\n"
		"\tcurrent: 0(bytes)\thard: 0(bytes)\tsoft: 0(bytes)\n"
		"\tallocated: 0\thard: 0\tsoft: 0\n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED, true));
}

/* A client without privilege gets no keys; AH and IPComp have their own letters. */
static void
other_types(void **state)
{
	struct tdo_sadb_sa sa = {.spi = 300, .auth = 3, .state = TDO_SA_LARVAL};
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_GET, TDO_SATYPE_AH);
	tdo_sadb_put_sa(&w, &sa);
	tdo_sadb_put_sa_addrs(&w, &a4, &b4);
	m = end(&w);
	PRINTED("192.0.2.10 192.0.2.20 \n"
		"\tah mode=any spi=300(0x0000012c) reqid=0(0x00000000)\n"
		"\tA: hmac-sha1 \n"
		"\tseq=0x00000000 replay=0 flags=0x00000000 state=larval \n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED, false));
	begin(&w, TDO_SADB_GET, TDO_SATYPE_IPCOMP);
	sa = (struct tdo_sadb_sa){.spi = 2, .encrypt = 2, .state = TDO_SA_DEAD};
	tdo_sadb_put_sa(&w, &sa);
	tdo_sadb_put_sa_addrs(&w, &a4, &b4);
	m = end(&w);
	PRINTED("192.0.2.10 192.0.2.20 \n"
		"\tipcomp mode=any spi=2(0x00000002) reqid=0(0x00000000)\n"
		"\tC: deflate\n"
		"\tseq=0x00000000 replay=0 flags=0x00000000 state=dead \n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED, false));
}

/* spec 2.7: the names that setkey -D has always printed, whatever one may type. */
static void
names_of_algorithms(void **state)
{
	static const struct {
		uint8_t encrypt, auth;
		const char *text;
	} t[] = {
	    {12, 0, "\tE: aes-cbc \n"},
	    {11, 249, "\tE: null \n\tA: md5 \n"},
	    {2, 250, "\tE: des-cbc \n\tA: sha \n"},
	    {22, 251, "\tE: camellia-cbc \n\tA: null \n"},
	    {13, 5, "\tE: aes-ctr \n\tA: hmac-sha256 \n"},
	    {6, 248, "\tE: cast128-cbc \n\tA: hmac-sha256-96 \n"},
	    {253, 247, "\tE: twofish-cbc \n\tA: aes-cmac \n"},
	    {15, 0, "\tE: chacha20-poly1305 \n"},
	    {0, 252, "\tA: tcp-md5 \n"},
	    {246, 253, "\tE: 246 \n\tA: 253 \n"},
	};
	char want[512];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_sadb_sa sa = {.spi = 2, .encrypt = t[i].encrypt, .auth = t[i].auth};
		struct tdo_sadb_msg m;
		struct tdo_wr w;

		begin(&w, TDO_SADB_GET, TDO_SATYPE_ESP);
		tdo_sadb_put_sa(&w, &sa);
		tdo_sadb_put_sa_addrs(&w, &a4, &b4);
		m = end(&w);
		snprintf(want, sizeof(want),
		    "192.0.2.10 192.0.2.20 \n"
		    "\tesp mode=any spi=2(0x00000002) reqid=0(0x00000000)\n"
		    "%s"
		    "\tseq=0x00000000 replay=0 flags=0x00000000 state=larval \n"
		    "\tsadb_seq=0 pid=4711 refcnt=1\n",
		    t[i].text);
		PRINTED(want, tdo_dump_sa(f, &m, CREATED, false));
	}
}

static void
udp_encapsulation(void **state)
{
	struct tdo_sadb_sa sa = {.spi = 300, .encrypt = 200, .auth = 201, .state = 9};
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_GET, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&w, &sa);
	tdo_sadb_put_sa2(&w, &(struct tdo_sadb_sa2){.mode = TDO_MODE_TRANSPORT});
	tdo_sadb_put_sa_addrs(&w, &a4, &b4);
	tdo_sadb_put_natt_type(&w, TDO_SADB_NATT_ESPINUDP);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 4500);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_DPORT, 1024);
	tdo_sadb_put_natt_frag(&w, 1200);
	tdo_sadb_put_address(&w, TDO_SADB_X_EXT_NAT_T_OAI,
	    &(struct tdo_sadb_address){.addr = b4, .plen = 32, .proto = 255});
	tdo_sadb_put_replay(&w, 80000);
	m = end(&w);
	PRINTED("192.0.2.10[4500] 192.0.2.20[1024] \n"
		"\tesp-udp mode=transport spi=300(0x0000012c) reqid=0(0x00000000)\n"
		"\tNAT OA=192.0.2.20\n"
		"\tNAT-T fragment=1200\n"
		"\tE: 200 \n"
		"\tA: 201 \n"
		"\tseq=0x00000000 replay=10000 flags=0x00000000 state=9 \n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED, false));
}

static struct tdo_sp_info
example_sp(void)
{
	return (struct tdo_sp_info){.param = {.dir = TDO_DIR_OUT,
					.type = TDO_POLICY_IPSEC,
					.prio = 0x80000000 - 10,
					.nreq = 1,
					.sel = {.src = a4,
					    .dst = {.af = TDO_AF_INET, .b = {198, 51, 100, 0}},
					    .src_plen = 32,
					    .dst_plen = 24,
					    .proto = 6,
					    .sport = TDO_RANGE_ANY,
					    .dport = {443, 443}},
					.req = {{.proto = 50,
					    .mode = TDO_MODE_TUNNEL,
					    .level = TDO_LEVEL_UNIQUE,
					    .reqid = 12,
					    .src = {.af = TDO_AF_INET, .b = {192, 0, 2, 1}},
					    .dst = {.af = TDO_AF_INET, .b = {198, 51, 100, 1}}}}},
	    .id = 3,
	    .created = CREATED,
	    .last_used = CREATED + 41};
}

static void
policy_as_in_the_specification(void **state)
{
	struct tdo_sp_info info = example_sp();
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_X_SPDDUMP, 0);
	tdo_sadb_put_sp_info(&w, &info);
	m = end(&w);
	PRINTED("192.0.2.10[any] 198.51.100.0/24[443] 6(tcp)\n"
		"\tout prio def + 10 ipsec\n"
		"\tesp/tunnel/192.0.2.1-198.51.100.1/unique:12\n"
		"\tcreated: Jan 10 09:00:00 2027  lastused: Jan 10 09:00:41 2027\n"
		"\tlifetime: 0(s) validtime: 0(s)\n"
		"\tspid=3 seq=0 pid=4711\n"
		"\trefcnt=1\n",
	    tdo_dump_sp(f, &m, &tdo_names_numeric));
}

/* No priority is printed for the default one; unused dates are blank. */
static void
plain_policies(void **state)
{
	struct tdo_sp_info info = {
	    .param = {.dir = TDO_DIR_IN,
		.type = TDO_POLICY_IPSEC,
		.prio = TDO_PRIO_DEFAULT,
		.nreq = 2,
		.sel = {.src = a6,
		    .dst = {.af = TDO_AF_INET6},
		    .src_plen = 128,
		    .dst_plen = 0,
		    .proto = 255,
		    .sport = TDO_RANGE_ANY,
		    .dport = TDO_RANGE_ANY},
		.req = {{.proto = 50, .mode = TDO_MODE_TRANSPORT, .level = TDO_LEVEL_REQUIRE},
		    {.proto = 51,
			.mode = TDO_MODE_TRANSPORT,
			.level = TDO_LEVEL_UNIQUE,
			.reqid = 16385}},
		.lifetime = 60,
		.validtime = 30}};
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_X_SPDDUMP, 0);
	tdo_sadb_put_sp_info(&w, &info);
	m = end(&w);
	PRINTED("2001:db8::1[any] ::/0[any] 255(reserved)\n"
		"\tin ipsec\n"
		"\tesp/transport//require\n"
		"\tah/transport//unique#16385\n"
		"\tcreated:                       lastused:                     \n"
		"\tlifetime: 60(s) validtime: 30(s)\n"
		"\tspid=0 seq=0 pid=4711\n"
		"\trefcnt=1\n",
	    tdo_dump_sp(f, &m, &tdo_names_numeric));
}

/* First lines only: upper-layer protocols that have something else than ports. */
static void
upper_layers(void **state)
{
	static const struct {
		uint8_t proto;
		uint16_t sport, dport;
		const char *line;
	} t[] = {
	    {1, 0, 0, "192.0.2.10 192.0.2.20 1(icmp)\n"},
	    {1, 8, 0, "192.0.2.10 192.0.2.20 1(icmp) 8,any\n"},
	    {1, 3, 4, "192.0.2.10 192.0.2.20 1(icmp) 3,4\n"},
	    {135, 1, 2, "192.0.2.10 192.0.2.20 135(mobility-header) 1,2\n"},
	    {47, 0, 0, "192.0.2.10 192.0.2.20 47(gre)\n"},
	    {47, 1, 1, "192.0.2.10 192.0.2.20 47(gre) 65537\n"},
	    {4, 0, 0, "192.0.2.10[any] 192.0.2.20[any] 4(ipv4)\n"},
	    {200, 0, 9, "192.0.2.10[any] 192.0.2.20[9] 200\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_sadb_address src = {
		    .addr = a4, .plen = 32, .proto = t[i].proto, .port = t[i].sport};
		struct tdo_sadb_address dst = {
		    .addr = b4, .plen = 32, .proto = t[i].proto, .port = t[i].dport};
		struct tdo_sadb_msg m;
		struct tdo_wr w;
		char want[256];

		snprintf(want, sizeof(want),
		    "%s\tin discard\n"
		    "\tcreated:                       lastused:                     \n"
		    "\tlifetime: 0(s) validtime: 0(s)\n"
		    "\tspid=0 seq=0 pid=4711\n\trefcnt=1\n",
		    t[i].line);
		begin(&w, TDO_SADB_X_SPDDUMP, 0);
		tdo_sadb_put_address(&w, TDO_SADB_EXT_ADDRESS_SRC, &src);
		tdo_sadb_put_address(&w, TDO_SADB_EXT_ADDRESS_DST, &dst);
		tdo_sadb_put_policy(&w, &(struct tdo_sadb_policy){.dir = TDO_DIR_IN});
		m = end(&w);
		PRINTED(want, tdo_dump_sp(f, &m, &tdo_names_numeric));
	}
}

/* First lines: what a port field cannot say. */
static void
d41_ranges_and_type_0_are_shown(void **state)
{
	static const struct {
		uint8_t proto;
		struct tdo_range sport, dport;
		const char *line;
	} t[] = {
	    {17, {1000, 2000}, {0, 65535}, "192.0.2.10[1000-2000] 192.0.2.20[any] 17(udp)\n"},
	    {6, {7, 7}, {0, 0}, "192.0.2.10[7] 192.0.2.20[0-0] 6(tcp)\n"},
	    {1, {0, 0}, {0, 65535}, "192.0.2.10 192.0.2.20 1(icmp) 0,any\n"},
	    {1, {0, 8}, {0, 0}, "192.0.2.10 192.0.2.20 1(icmp) 0-8,0\n"},
	    {1, {0, 65535}, {1, 2}, "192.0.2.10 192.0.2.20 1(icmp) any,1-2\n"},
	    {47, {0, 0}, {5, 5}, "192.0.2.10 192.0.2.20 47(gre) 5\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct tdo_sp_info info = {.param = {.dir = TDO_DIR_IN,
					       .sel = {.src = a4,
						   .dst = b4,
						   .src_plen = 32,
						   .dst_plen = 32,
						   .proto = t[i].proto,
						   .sport = t[i].sport,
						   .dport = t[i].dport}}};
		struct tdo_sadb_msg m;
		struct tdo_wr w;
		char *text = NULL;
		size_t size;
		FILE *f = open_memstream(&text, &size);

		begin(&w, TDO_SADB_X_SPDDUMP, 0);
		tdo_sadb_put_sp_info(&w, &info);
		m = end(&w);
		tdo_dump_sp(f, &m, &tdo_names_numeric);
		fclose(f);
		assert_int_equal(strncmp(text, t[i].line, strlen(t[i].line)), 0);
		free(text);
	}
}

/* The lines of other systems stay as they are; what is new stands in front of the last. */
static void
settings_of_an_sa(void **state)
{
	struct tdo_sa_info info = {
	    .param = {.key = {.satype = TDO_SATYPE_ESP, .spi = 256, .src = a6, .dst = b6},
		.mode = TDO_MODE_TUNNEL,
		.state = TDO_SA_MATURE,
		.flags = TDO_SAF_ESN,
		.replay = 64,
		.ealg = 11,
		.tunnel = {.ecn = 4, .df = 1, .dscp = 47, .hop_limit = 9, .flow_label = 3},
		.adaptive = true,
		.cpu = 3,
		.has_sel = true,
		.sel = {.src = a4,
		    .src_plen = 32,
		    .dst = {.af = TDO_AF_INET, .b = {10}},
		    .dst_plen = 8,
		    .proto = 6,
		    .sport = {1000, 2000},
		    .dport = TDO_RANGE_ANY}},
	    .window = 512,
	    .late = {.accepted = {1, 2, 3}, .dropped = {[16] = 7}}};
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_DUMP, TDO_SATYPE_ESP);
	tdo_sadb_put_sa_info(&w, &info, true);
	m = end(&w);
	PRINTED("2001:db8::1 2001:db8::2 \n"
		"\tesp mode=tunnel spi=256(0x00000100) reqid=0(0x00000000)\n"
		"\tE: null \n"
		"\tseq=0x00000000 replay=8 flags=0x00000400 state=mature \n"
		"\tcreated:                     \tcurrent: Jan 10 09:00:00 2027\n"
		"\tdiff: 0(s)\thard: 0(s)\tsoft: 0(s)\n"
		"\tlast:                     \thard: 0(s)\tsoft: 0(s)\n"
		"\tcurrent: 0(bytes)\thard: 0(bytes)\tsoft: 0(bytes)\n"
		"\tallocated: 0\thard: 0\tsoft: 0\n"
		"\toptions: ecn=rfc6040 df=clear dscp=46 ttl=9 flowlabel=flow window=adaptive "
		"cpu=2\n"
		"\twindow: 512(packets)\tlate: 6\tdropped: 7\n"
		"\tselectors: 192.0.2.10[1000-2000] 10.0.0.0/8 tcp\n"
		"\tsadb_seq=0 pid=4711 refcnt=1\n",
	    tdo_dump_sa(f, &m, CREATED, false));
}

static void
settings_of_a_policy(void **state)
{
	struct tdo_sp_info info = example_sp();
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	info.param.tunnel = (struct tdo_tunnel_opt){.ecn = 1, .dscp = TDO_OPT_DSCP_COPY};
	info.param.hold = true;
	info.param.pfp = TDO_PFP_SRC | TDO_PFP_PROTO;
	info.param.req[0].reqid = 100000;
	begin(&w, TDO_SADB_X_SPDDUMP, 0);
	tdo_sadb_put_sp_info(&w, &info);
	m = end(&w);
	PRINTED("192.0.2.10[any] 198.51.100.0/24[443] 6(tcp)\n"
		"\tout prio def + 10 ipsec\n"
		"\tesp/tunnel/192.0.2.1-198.51.100.1/unique:100000\n"
		"\tcreated: Jan 10 09:00:00 2027  lastused: Jan 10 09:00:41 2027\n"
		"\tlifetime: 0(s) validtime: 0(s)\n"
		"\toptions: ecn=ignore dscp=copy hold pfp=src,proto\n"
		"\tspid=3 seq=0 pid=4711\n"
		"\trefcnt=1\n",
	    tdo_dump_sp(f, &m, &tdo_names_numeric));
}

static void
extensions_of_testudo(void **state)
{
	const struct tdo_late late = {.accepted = {[0] = 5, [16] = 1}, .dropped = {[16] = 2}};
	const struct tdo_sel sel = {.src = a4,
	    .src_plen = 32,
	    .dst = b4,
	    .dst_plen = 32,
	    .proto = 17,
	    .sport = {1, 2},
	    .dport = TDO_RANGE_ANY};
	struct tdo_sadb_address a = {.addr = a4, .plen = 32, .proto = 255};
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_UPDATE, TDO_SATYPE_ESP);
	tdo_sadb_put_address(&w, TDO_SADB_X_EXT_NEW_ADDRESS_SRC, &a);
	tdo_sadb_put_address(&w, TDO_SADB_X_EXT_NEW_ADDRESS_DST, &a);
	tdo_sadb_put_tdo_sa(
	    &w, &(struct tdo_sadb_tdo_sa){
		    .tunnel = {1, 2, 3, 4, 3}, .adaptive = true, .cpu = 5, .window = 6});
	tdo_sadb_put_tdo_sel(&w, &sel);
	tdo_sadb_put_tdo_sp(
	    &w, &(struct tdo_sadb_tdo_sp){.hold = true, .pfp = 3, .nreq = 2, .reqid = {0, 70000}});
	tdo_sadb_put_tdo_late(&w, &late);
	end(&w);
	PRINTED(
	    "sadb_msg{ version=2 type=2 errno=0 satype=3 len=54 reserved=1 seq=0 pid=4711 } "
	    "SADB_UPDATE\n"
	    "sadb_x_new_address_src{ proto=255 prefixlen=32 addr=192.0.2.10 port=0 }\n"
	    "sadb_x_new_address_dst{ proto=255 prefixlen=32 addr=192.0.2.10 port=0 }\n"
	    "sadb_x_tdo_sa{ ecn=1 df=2 dscp=3 hop_limit=4 flow_label=3 adaptive=1 align=0 cpu=5 "
	    "window=6 }\n"
	    "sadb_x_tdo_sel{ proto=17 src=192.0.2.10/32[1-2] dst=192.0.2.20/32[0-65535] }\n"
	    "sadb_x_tdo_sp{ ecn=0 df=0 dscp=0 hop_limit=0 flow_label=0 hold=1 pfp=0x03 "
	    "reqid=0,70000 }\n"
	    "sadb_x_tdo_late{\n"
	    "  late{ packets=1 accepted=5 dropped=0 }\n"
	    "  late{ packets=65536 accepted=1 dropped=2 }\n"
	    "}\n",
	    tdo_print_message(f, buf, len));
}

static void
policy_of_a_socket(void **state)
{
	struct tdo_sadb_msg m;
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_X_SPDDUMP, 0);
	tdo_sadb_put_policy(
	    &w, &(struct tdo_sadb_policy){.type = TDO_POLICY_BYPASS, .dir = TDO_DIR_OUT, .id = 9});
	m = end(&w);
	PRINTED("(no selector, probably per-socket policy)\n"
		"\tout bypass\n"
		"\tcreated:                       lastused:                     \n"
		"\tlifetime: 0(s) validtime: 0(s)\n"
		"\tspid=9 seq=0 pid=4711\n"
		"\trefcnt=1\n",
	    tdo_dump_sp(f, &m, &tdo_names_numeric));
}

static void
messages_extension_by_extension(void **state)
{
	struct tdo_sa_info sa = example_sa();
	struct tdo_sp_info sp = example_sp();
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_X_SPDADD, 0);
	tdo_sadb_put_sp_param(&w, &sp.param);
	end(&w);
	PRINTED("sadb_msg{ version=2 type=14 errno=0 satype=0 len=15 reserved=1 seq=0 pid=4711 } "
		"SADB_X_SPDADD\n"
		"sadb_x_policy{ type=2 dir=2 flags=0x00 id=0 priority=2147483638 }\n"
		"  sadb_x_ipsecrequest{ proto=50 mode=2 level=3 reqid=12 src=192.0.2.1 "
		"dst=198.51.100.1 }\n"
		"sadb_address_src{ proto=6 prefixlen=32 addr=192.0.2.10 port=0 }\n"
		"sadb_address_dst{ proto=6 prefixlen=24 addr=198.51.100.0 port=443 }\n",
	    tdo_print_message(f, buf, len));
	begin(&w, TDO_SADB_ADD, TDO_SATYPE_ESP);
	sa.param.akey_bits = 64;
	tdo_sadb_put_sa_param(&w, &sa.param);
	end(&w);
	PRINTED("sadb_msg{ version=2 type=3 errno=0 satype=3 len=25 reserved=1 seq=0 pid=4711 } "
		"SADB_ADD\n"
		"sadb_sa{ spi=4097 replay=4 state=1 auth=5 encrypt=12 flags=0x00000000 }\n"
		"sadb_x_sa2{ mode=1 reqid=7 sequence=0 }\n"
		"sadb_lifetime_hard{ alloc=0 bytes=0 addtime=3600 usetime=0 }\n"
		"sadb_lifetime_soft{ alloc=0 bytes=0 addtime=2880 usetime=0 }\n"
		"sadb_key_encrypt{ bits=128 key=00112233445566778899aabbccddeeff }\n"
		"sadb_key_auth{ bits=64 key=6161616161616161 }\n"
		"sadb_address_src{ proto=255 prefixlen=32 addr=192.0.2.10 port=0 }\n"
		"sadb_address_dst{ proto=255 prefixlen=32 addr=192.0.2.20 port=0 }\n",
	    tdo_print_message(f, buf, len));
}

static void
small_extensions(void **state)
{
	struct tdo_sadb_alg alg = {.id = 12, .ivlen = 16, .minbits = 128, .maxbits = 256};
	struct tdo_sadb_comb comb = {
	    .encrypt = 12, .encrypt_minbits = 128, .encrypt_maxbits = 256, .hard.addtime = 60};
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_REGISTER, TDO_SATYPE_ESP);
	tdo_sadb_put_supported(&w, TDO_SADB_EXT_SUPPORTED_ENCRYPT, &alg, 1);
	tdo_sadb_put_spirange(&w, &(struct tdo_sadb_spirange){.min = 256, .max = 0xffffffff});
	tdo_sadb_put_replay(&w, 4096);
	tdo_sadb_put_natt_type(&w, 2);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 1);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_DPORT, 2);
	tdo_sadb_put_natt_frag(&w, 3);
	tdo_sadb_put_proposal(&w, 4, &comb, 1);
	end(&w);
	PRINTED("sadb_msg{ version=2 type=7 errno=0 satype=3 len=21 reserved=1 seq=0 pid=4711 } "
		"SADB_REGISTER\n"
		"sadb_supported_encrypt{\n"
		"  alg{ id=12 ivlen=16 min=128 max=256 }\n"
		"}\n"
		"sadb_spirange{ min=0x00000100 max=0xffffffff }\n"
		"sadb_x_sa_replay{ packets=4096 }\n"
		"sadb_x_nat_t_type{ type=2 }\n"
		"sadb_x_nat_t_sport{ port=1 }\n"
		"sadb_x_nat_t_dport{ port=2 }\n"
		"sadb_x_nat_t_frag{ fraglen=3 }\n"
		"sadb_prop{\n"
		"  comb{ auth=0 0-0 encrypt=12 128-256 flags=0x0000 hard=60s,0bytes soft=0s,0bytes "
		"}\n"
		"}\n",
	    tdo_print_message(f, buf, len));
}

/* As setkey -x has it when a NAT gave the peer of an SA another port. */
static void
d19_a_new_mapping_is_shown(void **state)
{
	struct tdo_wr w;

	(void)state;
	begin(&w, TDO_SADB_X_NAT_T_NEW_MAPPING, TDO_SATYPE_ESP);
	tdo_sadb_put_sa(&w, &(struct tdo_sadb_sa){.spi = 300, .encrypt = 20, .state = 1});
	tdo_sadb_put_sa_addrs(&w, &a4, &b4);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_SPORT, 1024);
	tdo_sadb_put_natt_port(&w, TDO_SADB_X_EXT_NAT_T_DPORT, 2048);
	end(&w);
	PRINTED("sadb_msg{ version=2 type=23 errno=0 satype=3 len=12 reserved=1 seq=0 pid=4711 } "
		"SADB_X_NAT_T_NEW_MAPPING\n"
		"sadb_sa{ spi=300 replay=0 state=1 auth=0 encrypt=20 flags=0x00000000 }\n"
		"sadb_address_src{ proto=255 prefixlen=32 addr=192.0.2.10 port=0 }\n"
		"sadb_address_dst{ proto=255 prefixlen=32 addr=192.0.2.20 port=0 }\n"
		"sadb_x_nat_t_sport{ port=1024 }\n"
		"sadb_x_nat_t_dport{ port=2048 }\n",
	    tdo_print_message(f, buf, len));
}

/* What does not parse is shown as it is. */
static void
malformed_messages(void **state)
{
	static const uint8_t msg[18] = {2, 3, 0, 3, 9};

	(void)state;
	PRINTED("malformed message of 18 bytes: message length is not the length received\n"
		"02 03 00 03  09 00 00 00  00 00 00 00  00 00 00 00\n"
		"00 00\n",
	    tdo_print_message(f, msg, sizeof(msg)));
}

/* setkey FILE: whole messages are printed, a rest that is none is an error. */
static void
messages_from_files(void **state)
{
	static const struct monitor_options hex = {.hex = true};
	FILE *in = tmpfile();
	struct tdo_wr w;
	int r;

	(void)state;
	begin(&w, TDO_SADB_FLUSH, 0);
	end(&w);
	fwrite(buf, 1, len, in);
	fwrite(buf, 1, len, in);
	rewind(in);
	PRINTED("02 09 00 00  02 00 01 00  00 00 00 00  67 12 00 00\n\n"
		"02 09 00 00  02 00 01 00  00 00 00 00  67 12 00 00\n\n",
	    r = tdo_monitor_file(in, f, &hex));
	assert_int_equal(r, 0);
	fseek(in, 0, SEEK_END);
	fwrite(buf, 1, 15, in);
	fseek(in, (long)(2 * len), SEEK_SET);
	PRINTED("", r = tdo_monitor_file(in, f, &hex));
	assert_int_equal(r, -EBADMSG);
	rewind(in);
	buf[4] = 1; /* shorter than its own header */
	fwrite(buf, 1, len, in);
	rewind(in);
	PRINTED("", r = tdo_monitor_file(in, f, &hex));
	assert_int_equal(r, -EBADMSG);
	fclose(in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(sa_as_in_the_specification),
	    cmocka_unit_test(long_key_no_dates),
	    cmocka_unit_test(other_types),
	    cmocka_unit_test(names_of_algorithms),
	    cmocka_unit_test(udp_encapsulation),
	    cmocka_unit_test(policy_as_in_the_specification),
	    cmocka_unit_test(plain_policies),
	    cmocka_unit_test(upper_layers),
	    cmocka_unit_test(d41_ranges_and_type_0_are_shown),
	    cmocka_unit_test(settings_of_an_sa),
	    cmocka_unit_test(settings_of_a_policy),
	    cmocka_unit_test(extensions_of_testudo),
	    cmocka_unit_test(policy_of_a_socket),
	    cmocka_unit_test(messages_extension_by_extension),
	    cmocka_unit_test(small_extensions),
	    cmocka_unit_test(d19_a_new_mapping_is_shown),
	    cmocka_unit_test(malformed_messages),
	    cmocka_unit_test(messages_from_files),
	};

	setenv("TZ", "UTC", 1);
	setenv("LC_ALL", "C", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
