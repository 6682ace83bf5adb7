/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The rules in the real kernel against the model and against the policies themselves: random
 * packets, sent by this host and forwarded by it, in a network namespace of our own.
 *
 *	what a policy matches does not leave in clear (the property that counts)
 *	what the model covers is covered, and nothing else
 *
 * The world is a second TUN, "ext0", with the default routes; a packet that comes out there
 * has left, one that comes out of testudo's TUN was diverted.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/be.h"
#include "daemon/attach.h"
#include "daemon/log.h"
#include "lib/randsel.h"
#include "os/nft.h"
#include "os/route.h"
#include "os/sysctl.h"
#include "os/tun.h"
#include "wire/icmp.h"
#include "wire/ip.h"
#include "wire/udp.h"

enum { ROUNDS = 30, SELECTORS = 12, PACKETS = 40, MANY = 10000, MAIN_TABLE = 254 };

static int ext, raw4, raw6;
static struct tdo_conf conf;
static struct tdo_attach at;
static struct tdo_nft *reader;
static struct tdo_sel sels[SELECTORS];

static void
die(const char *what, int r)
{
	printf("not ok - %s: %s\n", what, strerror(r < 0 ? -r : errno));
	exit(1);
}

static void
must(const char *what, int r)
{
	if (r < 0)
		die(what, r);
}

/* ---- the namespace ------------------------------------------------------------------- */

static void
write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		die(path, 0);
	close(fd);
}

static void
enter_namespace(void)
{
	char map[64];
	unsigned uid = geteuid(), gid = getegid();

	if (uid == 0 && unshare(CLONE_NEWNET) == 0)
		return;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) {
		printf("1..0 # SKIP no namespaces here: %s\n", strerror(errno));
		exit(0);
	}
	write_file("/proc/self/setgroups", "deny");
	snprintf(map, sizeof(map), "0 %u 1", uid);
	write_file("/proc/self/uid_map", map);
	snprintf(map, sizeof(map), "0 %u 1", gid);
	write_file("/proc/self/gid_map", map);
}

static void
make_world(void)
{
	struct ifreq ifr = {.ifr_flags = IFF_TUN | IFF_NO_PI};
	struct tdo_nl nl;
	uint32_t index;

	must("netlink", tdo_nl_open(&nl, NETLINK_ROUTE));
	must("lo", tdo_link_up(&nl, if_nametoindex("lo"), 65536, 1000));
	ext = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	strcpy(ifr.ifr_name, "ext0");
	if (ext < 0 || ioctl(ext, TUNSETIFF, &ifr) != 0)
		die("ext0", 0);
	index = if_nametoindex("ext0");
	must("setting", tdo_sysctl_ensure(TDO_AF_INET6, "ext0", "addr_gen_mode", "1"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET6, "ext0", "router_solicitations", "0"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET, "all", "rp_filter", "0"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET, "ext0", "rp_filter", "0"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET, "ext0", "send_redirects", "0"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET, "all", "send_redirects", "0"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET, "all", "forwarding", "1"));
	must("setting", tdo_sysctl_ensure(TDO_AF_INET6, "all", "forwarding", "1"));
	must("ext0 up", tdo_link_up(&nl, index, 1500, 1000));
	must("route", tdo_addr4_ensure(&nl, index, (const uint8_t[]){203, 0, 113, 1}));
	must("route", tdo_route_ensure(&nl, TDO_AF_INET, MAIN_TABLE, index));
	must("route", tdo_route_ensure(&nl, TDO_AF_INET6, MAIN_TABLE, index));
	tdo_nl_close(&nl);
	raw4 = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	raw6 = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (raw4 < 0 || raw6 < 0 || setsockopt(raw6, IPPROTO_IPV6, 36, &(int){1}, sizeof(int)) != 0)
		die("raw socket", 0);
}

/* ---- packets ------------------------------------------------------------------------- */

struct packet {
	uint8_t b[256];
	unsigned len;
	struct tdo_flow flow; /* as the kernel sees it: behind all extension headers but AH */
	bool frag, loadable;
};

/*
 * The bytes by which selectors tell packets apart: small numbers, as in selectors.  Where the
 * kernel looks up ports, flow has them; the rest is for the engine's parser.
 */
static void
fill_upper(struct packet *p, uint8_t *up)
{
	uint8_t one = (uint8_t)tdo_rand(6), two = (uint8_t)tdo_rand(6);

	switch (p->flow.proto) {
	case TDO_IPPROTO_ICMP: /* type and code */
	case TDO_IPPROTO_ICMPV6:
		up[0] = p->flow.proto == TDO_IPPROTO_ICMPV6 && one == 5 ? 128 : one;
		up[1] = two;
		break;
	case TDO_IPPROTO_MH:
		up[2] = one;
		break;
	case TDO_IPPROTO_GRE: /* with a key, or without */
		up[0] = tdo_rand(3) ? 0x20 : 0;
		up[1] = 0;
		tdo_put_be16(up + 4, one);
		tdo_put_be16(up + 6, two);
		break;
	default:
		tdo_put_be16(up, one);
		tdo_put_be16(up + 2, two);
	}
	p->flow.sport = tdo_be16(up);
	p->flow.dport = tdo_be16(up + 2);
}

/* Adds n bytes of an upper layer. */
static void
put_upper(struct packet *p)
{
	static const uint8_t lens[] = {0, 1, 3, 4, 8, 20};
	unsigned n = lens[tdo_rand(3) ? 3 + tdo_rand(3) : tdo_rand(3)];
	uint8_t up[20];

	for (unsigned i = 0; i < sizeof(up); i++)
		up[i] = (uint8_t)tdo_rand(256);
	fill_upper(p, up);
	memcpy(p->b + p->len, up, n);
	p->len += n;
	p->loadable = n >= 4;
}

static void
make_v4(struct packet *p)
{
	bool options = tdo_rand(4) == 0;
	unsigned hlen = options ? 24 : 20;
	uint16_t off = 0;

	if (tdo_rand(3) == 0)
		off = tdo_rand(2) ? TDO_IP4_MF : (uint16_t)(1 + tdo_rand(100));
	p->b[0] = (uint8_t)(0x40 | hlen / 4);
	p->b[5] = 1;
	p->b[6] = (uint8_t)(off >> 8);
	p->b[7] = (uint8_t)off;
	p->b[8] = 64;
	p->b[9] = p->flow.proto;
	memcpy(p->b + 12, p->flow.src.b, 4);
	memcpy(p->b + 16, p->flow.dst.b, 4);
	if (options)
		memset(p->b + 20, 1, 4); /* no operation */
	p->len = hlen;
	p->frag = off != 0;
	put_upper(p);
	tdo_ip_set_len(p->b, p->len);
}

/* One extension header; *nh is the byte that names the next one. */
static void
put_ext(struct packet *p, uint8_t **nh, uint8_t type)
{
	uint8_t *h = p->b + p->len;

	**nh = type;
	*nh = h;
	p->len += 8;
	if (type == TDO_IPPROTO_FRAGMENT) {
		uint16_t off = (uint16_t)(tdo_rand(2) ? 1 : (1 + tdo_rand(50)) << 3);

		h[2] = (uint8_t)(off >> 8);
		h[3] = (uint8_t)off;
		p->frag = true;
	} else if (type == TDO_IPPROTO_AH) {
		h[1] = 1; /* 12 bytes: a header without ICV */
		p->len += 4;
	} else if (type == TDO_IPPROTO_ROUTING) {
		h[2] = 253;
	} else {
		h[2] = 1; /* PadN */
		h[3] = 4;
	}
}

static void
make_v6(struct packet *p)
{
	static const uint8_t later[] = {TDO_IPPROTO_DSTOPTS, TDO_IPPROTO_ROUTING, TDO_IPPROTO_AH,
	    TDO_IPPROTO_FRAGMENT, TDO_IPPROTO_DSTOPTS};
	uint8_t *nh = &p->b[6];
	bool ah = false;

	p->b[0] = 0x60;
	p->b[7] = 64;
	memcpy(p->b + 8, p->flow.src.b, 16);
	memcpy(p->b + 24, p->flow.dst.b, 16);
	p->len = 40;
	if (tdo_rand(6) == 0)
		put_ext(p, &nh, TDO_IPPROTO_HOPOPTS);
	for (unsigned i = 0; i < sizeof(later); i++) {
		if (tdo_rand(8) != 0)
			continue;
		put_ext(p, &nh, later[i]);
		ah |= later[i] == TDO_IPPROTO_AH;
	}
	*nh = p->flow.proto;
	put_upper(p);
	if (ah) {
		p->flow.proto = TDO_IPPROTO_AH;
		p->loadable = true;
	}
	tdo_ip_set_len(p->b, p->len);
}

static void
random_packet(struct packet *p)
{
	static const uint8_t proto[] = {6, 17, 6, 17, 1, 58, 50, 132, 136, 33, 47, 47, 135};
	const struct tdo_sel *s = &sels[tdo_rand(SELECTORS)];
	uint8_t af = tdo_rand(2) ? TDO_AF_INET : TDO_AF_INET6;

	memset(p, 0, sizeof(*p));
	p->flow.src = tdo_rand_addr(af);
	p->flow.dst = tdo_rand_addr(af);
	p->flow.proto = proto[tdo_rand(sizeof(proto))];
	p->flow.has_ports = true;
	if (s->src.af == af && s->src_plen > 24 && tdo_rand(2))
		p->flow.src = s->src;
	if (s->src.af == af && s->dst_plen > 24 && tdo_rand(2))
		p->flow.dst = s->dst;
	/* The networks themselves and zero are no addresses that hosts have. */
	p->flow.src.b[tdo_af_len(af) - 1] |= tdo_addr_is_any(&p->flow.src);
	p->flow.dst.b[tdo_af_len(af) - 1] |= tdo_addr_is_any(&p->flow.dst);
	if (af == TDO_AF_INET)
		make_v4(p);
	else
		make_v6(p);
}

/* ---- what happens to one packet ------------------------------------------------------ */

/* Reads everything; true when this packet was among it (skip: bytes in front of packets). */
static bool
came_out(int fd, size_t skip, const struct packet *p)
{
	size_t at_addr = p->flow.src.af == TDO_AF_INET ? 12 : 8;
	size_t len = 2 * tdo_af_len(p->flow.src.af);
	uint8_t buf[2048];
	bool found = false;
	ssize_t n;

	/* Others are ICMP errors, and what the kernel says about itself (MLD, IGMP). */
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		found |= (size_t)n >= skip + p->len && buf[skip] >> 4 == p->b[0] >> 4 &&
			 memcmp(buf + skip + at_addr, p->b + at_addr, len) == 0;
	return found;
}

static void
send_locally(const struct packet *p)
{
	struct sockaddr_in6 s6 = {.sin6_family = AF_INET6};
	struct sockaddr_in s4 = {.sin_family = AF_INET};

	memcpy(&s4.sin_addr, p->flow.dst.b, 4);
	memcpy(&s6.sin6_addr, p->flow.dst.b, 16);
	if (p->flow.dst.af == TDO_AF_INET)
		(void)sendto(raw4, p->b, p->len, 0, (struct sockaddr *)&s4, sizeof(s4));
	else
		(void)sendto(raw6, p->b, p->len, 0, (struct sockaddr *)&s6, sizeof(s6));
}

static uint64_t
counter(const char *name)
{
	uint64_t v = 0;

	must("counter", tdo_nft_counter_get(reader, "testudo-a", name, &v));
	return v;
}

enum fate { LEFT, COVERED, NOWHERE };

/* Forwarded packets are written to ext0, as if they came from outside. */
static enum fate
fate_of(const struct packet *p, enum tdo_dir dir, bool forwarded)
{
	const char *name = dir == TDO_DIR_IN ? "checked" : "guard-drops";
	uint64_t before = counter(name);
	bool diverted, left;

	if (forwarded)
		(void)!write(ext, p->b, p->len);
	else
		send_locally(p);
	diverted = came_out(at.tun[0], 10, p);
	left = came_out(ext, 0, p);
	if (left)
		return LEFT;
	return diverted || counter(name) != before ? COVERED : NOWHERE;
}

static bool
naively_matched(const struct packet *p)
{
	struct tdo_ip_info ip;

	if (tdo_ip_parse(p->b, p->len, &ip) != TDO_REASON_NONE)
		return false;
	for (int i = 0; i < SELECTORS; i++)
		if (tdo_naive_match(&sels[i], &ip.flow, ip.flow.opaque))
			return true;
	return false;
}

/* They are judged by what they quote, too, so they are always looked at. */
static bool
is_icmp_error(const struct packet *p)
{
	struct tdo_ip_info ip;

	return !p->frag && p->loadable && tdo_ip_parse(p->b, p->len, &ip) == TDO_REASON_NONE &&
	       ip.flow.has_ports &&
	       ip.flow.proto ==
		   (ip.flow.src.af == TDO_AF_INET ? TDO_IPPROTO_ICMP : TDO_IPPROTO_ICMPV6) &&
	       ip.flow.sport != 0 && ip.flow.sport != 5 && tdo_icmp_is_error(&ip.flow) &&
	       (ip.flow.src.af == TDO_AF_INET || ip.flow.sport <= 4);
}

static unsigned seen[3], matched, cases;

static void
fail(const char *what, const struct packet *p, bool forwarded)
{
	char a[TDO_ADDR_STRLEN], b[TDO_ADDR_STRLEN];

	printf("not ok - %s: %s > %s proto %u, %s%s%s, bytes", what, tdo_addr_str(&p->flow.src, a),
	    tdo_addr_str(&p->flow.dst, b), p->flow.proto, forwarded ? "forwarded" : "sent",
	    p->frag ? ", fragment" : "", p->loadable ? "" : ", cut off");
	for (unsigned i = 0; i < p->len; i++)
		printf(" %02x", p->b[i]);
	printf("\n");
	exit(1);
}

static void
check_packet(enum tdo_dir dir, bool forwarded)
{
	struct packet p;
	enum fate fate;
	bool match, model;

	random_packet(&p);
	fate = fate_of(&p, dir, forwarded);
	match = naively_matched(&p);
	model = tdo_cover_match(tdo_fence_cover(at.fence), dir, &p.flow, p.frag, p.loadable);
	model |= is_icmp_error(&p) &&
		 tdo_cover_shapes(tdo_fence_cover(at.fence), dir, p.flow.src.af) != NULL;
	cases++;
	seen[fate]++;
	matched += match;
	if (match && fate == LEFT)
		fail("a policy matches, but the packet left in clear", &p, forwarded);
	if (model && fate == LEFT)
		fail("the model covers it, the kernel does not", &p, forwarded);
	if (!model && fate == COVERED)
		fail("the kernel covers it, the model does not", &p, forwarded);
}

/* ---- rounds -------------------------------------------------------------------------- */

static void
round_of_packets(enum tdo_dir dir)
{
	for (int i = 0; i < SELECTORS; i++) {
		sels[i] = tdo_rand_sel(tdo_rand(2) ? TDO_AF_INET : TDO_AF_INET6);
		/* Not everything: half of the packets shall have nothing to do with policies. */
		if (sels[i].src_plen + sels[i].dst_plen < 24)
			sels[i].proto = 6;
	}
	/* Alone, or several together. */
	for (int i = 0, n; i < SELECTORS; i += n) {
		n = tdo_rand(2) ? 1 : SELECTORS - i;
		must("add", tdo_fence_add(at.fence, dir, &sels[i], (size_t)n));
	}
	for (int i = 0; i < PACKETS; i++)
		check_packet(dir, dir == TDO_DIR_IN || tdo_rand(2));
	for (int i = 0; i < SELECTORS; i++)
		must("del", tdo_fence_del(at.fence, dir, &sels[i]));
	must("flush", tdo_fence_flush(at.fence));
}

/* H2, H3: changes must stay cheap when there are many. */
static void
many_entries(void)
{
	struct tdo_sel s = {.src = {.af = TDO_AF_INET, .b = {10}},
	    .dst = {.af = TDO_AF_INET, .b = {172, 16}},
	    .src_plen = 32,
	    .dst_plen = 32,
	    .proto = TDO_PROTO_ANY,
	    .sport = TDO_RANGE_ANY,
	    .dport = TDO_RANGE_ANY};
	struct timespec a, b;
	double took;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (int i = 0; i < MANY; i++) {
		s.dst.b[2] = (uint8_t)(i >> 8);
		s.dst.b[3] = (uint8_t)i;
		must("add", tdo_fence_add(at.fence, TDO_DIR_OUT, &s, 1));
	}
	clock_gettime(CLOCK_MONOTONIC, &b);
	took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("# %d additions, each in force when it returned: %.2f s\n", MANY, took);
	printf("%s 2 - many additions are quick\n", took < 30 ? "ok" : "not ok");
	clock_gettime(CLOCK_MONOTONIC, &a);
	must("rebuild", tdo_fence_rebuild(at.fence));
	clock_gettime(CLOCK_MONOTONIC, &b);
	took = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	printf("# making the table anew: %.2f s\n", took);
}

/* ESP in UDP from outside to this port: true when the daemon's socket has it. */
static bool
esp_in_udp_arrives(int fd, uint16_t port, bool marker)
{
	struct packet p = {.flow = {.src = {.af = TDO_AF_INET}}};
	uint8_t buf[256], *udp = p.b + TDO_IP4_HLEN;
	const struct tdo_ip_hdr h = {.src = {.af = TDO_AF_INET, .b = {192, 0, 2, 1}},
	    .dst = {.af = TDO_AF_INET, .b = {203, 0, 113, 1}},
	    .proto = TDO_IPPROTO_UDP,
	    .ttl = 64};
	unsigned payload = TDO_UDP_HLEN + TDO_UDP_MARKER_LEN + 32;
	bool found = false;

	tdo_ip_build(p.b, &h, payload);
	tdo_put_be16(udp + TDO_UDP_SPORT_OFF, 4500);
	tdo_put_be16(udp + TDO_UDP_DPORT_OFF, port);
	tdo_put_be16(udp + TDO_UDP_LEN_OFF, (uint16_t)payload);
	memset(udp + TDO_UDP_HLEN, marker ? 0 : 7, TDO_UDP_MARKER_LEN);
	if (write(ext, p.b, TDO_IP4_HLEN + payload) < 0)
		die("ext0", 0);
	while (recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0)
		found = true;
	return found;
}

/* Whatever happens to the table, its ports stay in force. */
static void
natt_ports(void)
{
	static struct tdo_worker_fds w[TDO_WORKERS_MAX];
	bool ok = true;

	must("sockets", tdo_attach_workers(&at, w));
	must("port", tdo_fence_natt_port(at.fence, 4500, false, true));
	must("port", tdo_fence_natt_port(at.fence, 4500, false, true));
	must("port", tdo_fence_natt_port(at.fence, 500, true, true));
	for (int i = 0; i < 3; i++) {
		ok = ok && esp_in_udp_arrives(w[0].udp4_in, 4500, false) &&
		     esp_in_udp_arrives(w[0].udp4_in, 500, true) &&
		     !esp_in_udp_arrives(w[0].udp4_in, 500, false) &&
		     !esp_in_udp_arrives(w[0].udp4_in, 4501, false) &&
		     tdo_fence_natt_fast(at.fence) == 4500;
		if (i == 1)
			tdo_fence_age(at.fence);
		must("rebuild", tdo_fence_rebuild(at.fence));
	}
	must("port", tdo_fence_natt_port(at.fence, 500, true, true));
	tdo_fence_drop_aged(at.fence);
	ok = ok && esp_in_udp_arrives(w[0].udp4_in, 500, true) &&
	     !esp_in_udp_arrives(w[0].udp4_in, 4500, false);
	must("port", tdo_fence_natt_port(at.fence, 500, true, false));
	must("port", tdo_fence_natt_port(at.fence, 500, true, false));
	ok = ok && !esp_in_udp_arrives(w[0].udp4_in, 500, true) &&
	     tdo_fence_natt_fast(at.fence) == 4500;
	/* The only port decides, and is the one that a new table has. */
	must("port", tdo_fence_natt_port(at.fence, 4600, false, true));
	must("rebuild", tdo_fence_rebuild(at.fence));
	ok = ok && tdo_fence_natt_fast(at.fence) == 4600 &&
	     esp_in_udp_arrives(w[0].udp4_in, 4600, false);

	printf("%s 3 - ports of UDP encapsulation stay, and go\n", ok ? "ok" : "not ok");
	tdo_attach_close_workers(w, conf.workers);
}

int
main(void)
{

	tdo_rand_init();
	enter_namespace();
	make_world();
	tdo_conf_init(&conf);
	tdo_log_open(false, false);
	must("attach", tdo_attach_open(&at, &conf));
	must("netlink", tdo_nft_open(&reader));
	printf("1..3\n");
	for (int i = 0; i < ROUNDS; i++)
		round_of_packets(i % 3 == 0 ? TDO_DIR_IN : TDO_DIR_OUT);
	printf("# %u packets: %u left, %u covered, %u refused by the kernel; %u matched\n", cases,
	    seen[LEFT], seen[COVERED], seen[NOWHERE], matched);
	/* No comparison may be empty. */
	printf("%s 1 - what a policy matches does not leave in clear\n",
	    seen[LEFT] > cases / 10 && seen[COVERED] > cases / 10 && seen[NOWHERE] < cases / 4 &&
		    matched > cases / 20
		? "ok"
		: "not ok");
	many_entries();
	natt_ports();
	tdo_attach_close(&at);
	tdo_nft_close(reader);
	tdo_conf_fini(&conf);
	return 0;
}
