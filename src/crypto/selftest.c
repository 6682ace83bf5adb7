/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known answers that every driver must give before it is used.
 *
 * All rows are one ESP packet, protected with different algorithms: header, IV, 32 bytes of
 * payload, ICV.  The answers come from an independent implementation (Python's cryptography
 * and hmac modules).  Each row is run as a burst, so that the vector code of a multi-buffer
 * library is tested with full and with partly filled lanes.
 */
#include <errno.h>

#include "crypto/alg.h"
#include "crypto/driver.h"

enum {
	HDR_LEN = 8,
	TEXT_LEN = 32,
	IV_MAX = 16,
	KEY_MAX = 56,
	BURST = 17,
	PACKET_MAX = HDR_LEN + IV_MAX + TEXT_LEN + TDO_ICV_MAX,
};

static const uint32_t esn_hi = 0x01020304;

/* The payload: 32 bytes from 0x20 on. */
static const char plain[TEXT_LEN + 1] = " !\"#$%&'()*+,-./0123456789:;<=>?";

static const struct kat {
	uint8_t ealg; /* 0: authentication only */
	uint8_t ekey_len;
	uint8_t aalg; /* 0: none */
	bool esn;
	const char *cipher; /* payload after encryption */
	const char *icv;
} kats[] = {
    {TDO_EALG_AES_GCM_16, 20, 0, false,
	"\x0b\x28\x5e\x79\x10\x55\x87\x5e\x04\x0a\x3b\x48\x5f\xc9\x56\xef"
	"\x83\xe4\x32\x8b\xfb\xfd\x68\xed\x1b\x2e\x15\x9f\x57\x6b\x2d\x1a",
	"\x25\x8e\x8e\x7f\x55\x79\xf1\x36\xee\xe5\x4e\xe7\x20\x21\x5b\xd1"},
    {TDO_EALG_AES_GCM_16, 28, 0, true,
	"\x2a\x01\x4c\x98\x40\xc2\x83\x32\x1a\x76\x90\x4f\xb6\x2c\x45\x43"
	"\x99\x60\x44\x60\x6b\x24\xad\x25\xbb\x78\x09\xef\x46\x12\x62\xce",
	"\x77\x7d\x75\xd0\xdf\x26\x5b\xfc\xa4\x65\x5b\x4d\x1d\x7c\xa2\x64"},
    {TDO_EALG_AES_GCM_16, 36, 0, false,
	"\x7f\x09\x75\xcf\x68\xd2\xf0\x12\xd1\xa7\xd1\x6e\x8e\x99\x8d\x06"
	"\x09\xbd\x8c\xbb\x98\x8e\x41\xea\x0c\xc7\x4e\x17\xcb\x81\x12\xb1",
	"\xfa\x09\xeb\x13\x46\x26\x4c\x45\xf7\x54\xb7\xbf\xeb\x5e\x57\x05"},
    {TDO_EALG_AES_CBC, 16, TDO_AALG_HMAC_SHA1, false,
	"\xbc\x5e\xbf\x18\x30\xca\xee\x8c\x76\x1a\x77\xc1\x1a\xc6\xfc\xf4"
	"\xa8\xf6\x88\xa6\xe7\xff\x72\xc3\xf7\xac\xe4\x47\xa1\xf2\x0d\x87",
	"\x7a\xd1\xb1\x72\xac\xb9\x68\xef\x46\x13\x0e\x8a"},
    {TDO_EALG_AES_CBC, 24, TDO_AALG_HMAC_MD5, true,
	"\x96\x1d\xfb\x5d\x6d\xf1\x33\x8f\xc2\xc7\xb0\xad\xec\x11\x3d\x14"
	"\xbe\x55\xe0\x90\x63\xcc\x78\x1a\x55\x8a\x70\x33\x4e\x08\x0e\x66",
	"\x85\x7a\xa4\x0c\x46\xe8\x0b\x7c\x9f\x7a\xc5\xb3"},
    {TDO_EALG_AES_CBC, 32, TDO_AALG_HMAC_SHA256, true,
	"\x79\x50\xa0\x7d\xa7\xef\x37\xf6\x55\x84\x3a\xf7\x86\x14\xe8\xdb"
	"\xef\x4c\x43\x18\x62\x86\x8e\x98\xe0\x41\xe4\x87\xf9\x50\x5b\xbe",
	"\xb6\xc6\xf9\x65\xf0\xa1\xfe\xc7\x82\x26\x30\x72\x8f\x29\xd4\xfe"},
    {TDO_EALG_AES_CBC, 16, 0, false,
	"\xbc\x5e\xbf\x18\x30\xca\xee\x8c\x76\x1a\x77\xc1\x1a\xc6\xfc\xf4"
	"\xa8\xf6\x88\xa6\xe7\xff\x72\xc3\xf7\xac\xe4\x47\xa1\xf2\x0d\x87",
	""},
    {TDO_EALG_3DES_CBC, 24, TDO_AALG_HMAC_MD5, false,
	"\x7b\xe4\xc5\xb0\x48\x52\x55\xa1\xf8\xb8\xe8\x50\xea\x33\xbb\xb2"
	"\x83\x53\x2e\x68\xe6\xcb\x85\xc5\xba\x82\x1b\x1c\x36\x09\x55\x2f",
	"\x57\x7e\xcd\x87\x96\x29\xe4\x05\x88\x28\x8e\x23"},
    {TDO_EALG_3DES_CBC, 24, 0, false,
	"\x7b\xe4\xc5\xb0\x48\x52\x55\xa1\xf8\xb8\xe8\x50\xea\x33\xbb\xb2"
	"\x83\x53\x2e\x68\xe6\xcb\x85\xc5\xba\x82\x1b\x1c\x36\x09\x55\x2f",
	""},
    {TDO_EALG_BLOWFISH_CBC, 16, TDO_AALG_HMAC_SHA1, false,
	"\xf6\x50\x99\x8a\xfc\x09\x1c\xc8\x5a\xd9\x63\xa8\x73\xcc\xc5\x3f"
	"\xf1\xf8\x55\x8f\xa4\xff\x92\x9b\x22\xb2\x33\x41\x2d\x7c\x43\x79",
	"\x1d\x99\x37\x71\x5d\xa2\x35\xff\x43\x05\xf9\x82"},
    {TDO_EALG_BLOWFISH_CBC, 56, TDO_AALG_HMAC_SHA256, true,
	"\x60\xa7\x9f\xe8\x78\x05\x8b\xad\x7b\xb9\x7b\xed\xd6\xef\x95\x51"
	"\x95\x20\xcb\x56\x32\x29\x03\xa5\xaf\x82\x5c\x6a\x3c\x3a\xd7\x94",
	"\x4d\xe7\xb8\x8d\xad\x69\x7d\x80\xe1\x54\x21\x65\xe1\x61\x6a\xe1"},
    {TDO_EALG_NULL, 0, TDO_AALG_HMAC_SHA256, false,
	"\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f"
	"\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\x3e\x3f",
	"\xb4\xe0\x74\xb4\xc3\xd4\xb8\x37\xf7\xcf\x78\xb3\x65\xe5\x8a\x4a"},
    {TDO_EALG_NULL, 0, 0, false,
	"\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f"
	"\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\x3e\x3f",
	""},
    {0, 0, TDO_AALG_HMAC_MD5, false,
	"\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f"
	"\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\x3e\x3f",
	"\xf9\xff\xf5\xe8\x85\x7d\x28\xaa\x28\xfd\xab\xc7"},
    {0, 0, TDO_AALG_HMAC_SHA1, true,
	"\x20\x21\x22\x23\x24\x25\x26\x27\x28\x29\x2a\x2b\x2c\x2d\x2e\x2f"
	"\x30\x31\x32\x33\x34\x35\x36\x37\x38\x39\x3a\x3b\x3c\x3d\x3e\x3f",
	"\xca\x57\x3f\x21\xb2\xf5\x30\xcc\x41\x61\xba\x4d"},
};

/* The key material of all rows: first, first + 7, first + 14, ... */
static void
make_key(uint8_t *key, unsigned len, unsigned first)
{
	for (unsigned i = 0; i < len; i++)
		key[i] = (uint8_t)(first + 7 * i);
}

/* The packet before encryption; returns where its payload is. */
static uint8_t *
make_packet(uint8_t *p, unsigned iv_len)
{
	static const uint8_t head[HDR_LEN + IV_MAX] = {0, 0, 0x10, 0, 0, 0, 0, 1, /* IV */
	    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad,
	    0xae, 0xaf};

	memcpy(p, head, HDR_LEN + iv_len);
	memcpy(p + HDR_LEN + iv_len, plain, TEXT_LEN);
	return p + HDR_LEN + iv_len;
}

static unsigned
icv_len(const struct tdo_session_param *p)
{
	const struct tdo_alg *a = p->auth ? p->auth : p->enc;

	return a ? a->icv_len : 0;
}

static void
make_ops(struct tdo_op *op, uint8_t packet[BURST][PACKET_MAX])
{
	for (unsigned i = 0; i < BURST; i++)
		op[i] = (struct tdo_op){
		    .data = packet[i],
		    .hdr_len = HDR_LEN,
		    .text_len = TEXT_LEN,
		    .esn_hi = esn_hi,
		    .status = TDO_OP_ERROR,
		};
}

static bool
all_are(const struct tdo_op *op, uint8_t status)
{
	for (unsigned i = 0; i < BURST; i++)
		if (op[i].status != status)
			return false;
	return true;
}

static bool
encrypts(struct tdo_session *s, const struct kat *k, const struct tdo_session_param *p)
{
	uint8_t packet[BURST][PACKET_MAX] = {{0}};
	struct tdo_op op[BURST];
	unsigned iv_len = p->enc ? p->enc->iv_len : 0;

	make_ops(op, packet);
	for (unsigned i = 0; i < BURST; i++)
		make_packet(packet[i], iv_len);
	tdo_session_process(s, 0, op, BURST);
	if (!all_are(op, TDO_OP_OK))
		return false;
	for (unsigned i = 0; i < BURST; i++) {
		const uint8_t *text = packet[i] + HDR_LEN + iv_len;

		if (memcmp(text, k->cipher, TEXT_LEN) != 0 ||
		    memcmp(text + TEXT_LEN, k->icv, icv_len(p)) != 0)
			return false;
	}
	return true;
}

/* Decrypts the answer, with a wrong bit in the last byte of the ICV if damaged. */
static bool
decrypts(
    struct tdo_session *s, const struct kat *k, const struct tdo_session_param *p, bool damaged)
{
	uint8_t packet[BURST][PACKET_MAX] = {{0}};
	struct tdo_op op[BURST];
	unsigned iv_len = p->enc ? p->enc->iv_len : 0;

	make_ops(op, packet);
	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *text = make_packet(packet[i], iv_len);

		memcpy(text, k->cipher, TEXT_LEN);
		memcpy(text + TEXT_LEN, k->icv, icv_len(p));
		if (damaged)
			text[TEXT_LEN + icv_len(p) - 1] ^= 1;
	}
	tdo_session_process(s, 0, op, BURST);
	if (damaged)
		return all_are(op, TDO_OP_BAD_ICV);
	for (unsigned i = 0; i < BURST; i++)
		if (memcmp(packet[i] + HDR_LEN + iv_len, plain, TEXT_LEN) != 0)
			return false;
	return all_are(op, TDO_OP_OK);
}

/* 0, -ENOMEM or -ELIBBAD. */
static int
run_direction(struct tdo_crypto *c, const struct tdo_driver_slot *slot, const struct kat *k,
    const struct tdo_session_param *p)
{
	struct tdo_session *s;
	bool ok;

	if (tdo_session_make(c, slot, p, &s) != 0)
		return -ENOMEM;
	if (p->encrypt)
		ok = encrypts(s, k, p);
	else
		ok = decrypts(s, k, p, false) && (icv_len(p) == 0 || decrypts(s, k, p, true));
	tdo_session_free(s);
	return ok ? 0 : -ELIBBAD;
}

static int
run(struct tdo_crypto *c, const struct tdo_driver_slot *slot, const struct kat *k,
    const struct tdo_session_param *p)
{
	struct tdo_session_param both = *p;
	int err;

	both.encrypt = true;
	err = run_direction(c, slot, k, &both);
	if (err)
		return err;
	both.encrypt = false;
	return run_direction(c, slot, k, &both);
}

int
tdo_selftest(struct tdo_crypto *c, const struct tdo_driver_slot *slot, const char **ret_what)
{
	uint8_t ekey[KEY_MAX], akey[KEY_MAX];

	make_key(ekey, sizeof(ekey), 0x01);
	make_key(akey, sizeof(akey), 0x81);
	for (size_t i = 0; i < sizeof(kats) / sizeof(kats[0]); i++) {
		const struct kat *k = &kats[i];
		struct tdo_session_param p = {
		    .enc = tdo_alg_enc(k->ealg),
		    .auth = tdo_alg_auth(k->aalg),
		    .ekey = ekey,
		    .ekey_len = k->ekey_len,
		    .akey = akey,
		    .esn = k->esn,
		};
		unsigned key_len;
		int err;

		key_len = p.enc ? (unsigned)k->ekey_len - p.enc->salt_len : 0;
		p.akey_len = p.auth ? p.auth->key_min / 8 : 0;
		if (!slot->driver->supports(slot->state, p.enc, p.auth, key_len))
			continue;
		err = run(c, slot, k, &p);
		if (err == -ELIBBAD)
			*ret_what = p.auth ? p.auth->name : p.enc->name;
		if (err)
			return err;
	}
	return 0;
}
