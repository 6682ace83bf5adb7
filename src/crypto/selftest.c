/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Known answers that every driver must give before it is used.
 *
 * All rows are one ESP packet, protected with different algorithms: header, IV, 32 bytes of
 * payload, ICV.  The answers come from independent implementations, out of which
 * tests/vectors/mkselftest.py makes selftest.def.  Each row is run as a burst, so that the
 * vector code of a multi-buffer library is tested with full and with partly filled lanes.
 */
#include <errno.h>

#include "crypto/alg.h"
#include "crypto/driver.h"

enum {
	HDR_LEN = 8,
	TEXT_LEN = 32,
	IV_MAX = 16,
	KEY_MAX = 64,
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
	const char *cipher; /* hexadecimal: payload after encryption */
	const char *icv;
} kats[] = {
#include "crypto/selftest.def"
};

/* What is computed with a row. */
struct row {
	struct tdo_session_param p;
	uint8_t cipher[TEXT_LEN];
	uint8_t icv[TDO_ICV_MAX];
	unsigned iv_len, icv_len;
};

static unsigned
nibble(char c)
{
	return (unsigned)(c <= '9' ? c - '0' : c - 'a' + 10);
}

static void
decode(const char *hex, uint8_t *ret)
{
	for (; hex[0] && hex[1]; hex += 2)
		*ret++ = (uint8_t)(nibble(hex[0]) << 4 | nibble(hex[1]));
}

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
encrypts(struct tdo_session *s, const struct row *r)
{
	uint8_t packet[BURST][PACKET_MAX] = {{0}};
	struct tdo_op op[BURST];

	make_ops(op, packet);
	for (unsigned i = 0; i < BURST; i++)
		make_packet(packet[i], r->iv_len);
	tdo_session_process(s, 0, op, BURST);
	if (!all_are(op, TDO_OP_OK))
		return false;
	for (unsigned i = 0; i < BURST; i++) {
		const uint8_t *text = packet[i] + HDR_LEN + r->iv_len;

		if (memcmp(text, r->cipher, TEXT_LEN) != 0 ||
		    memcmp(text + TEXT_LEN, r->icv, r->icv_len) != 0)
			return false;
	}
	return true;
}

/* Decrypts the answer, with a wrong bit in the last byte of the ICV if damaged. */
static bool
decrypts(struct tdo_session *s, const struct row *r, bool damaged)
{
	uint8_t packet[BURST][PACKET_MAX] = {{0}};
	struct tdo_op op[BURST];

	make_ops(op, packet);
	for (unsigned i = 0; i < BURST; i++) {
		uint8_t *text = make_packet(packet[i], r->iv_len);

		memcpy(text, r->cipher, TEXT_LEN);
		memcpy(text + TEXT_LEN, r->icv, r->icv_len);
		if (damaged)
			text[TEXT_LEN + r->icv_len - 1] ^= 1;
	}
	tdo_session_process(s, 0, op, BURST);
	if (damaged)
		return all_are(op, TDO_OP_BAD_ICV);
	for (unsigned i = 0; i < BURST; i++)
		if (memcmp(packet[i] + HDR_LEN + r->iv_len, plain, TEXT_LEN) != 0)
			return false;
	return all_are(op, TDO_OP_OK);
}

static bool
works(struct tdo_session *s, const struct row *r, bool encrypt)
{
	if (encrypt)
		return encrypts(s, r);
	return decrypts(s, r, false) && (r->icv_len == 0 || decrypts(s, r, true));
}

/* A session of this direction and its twin of the other.  0, -ENOMEM or -ELIBBAD. */
static int
run_pair(
    struct tdo_crypto *c, const struct tdo_driver_slot *slot, const struct row *r, bool encrypt)
{
	struct tdo_session_param p = r->p;
	struct tdo_session *first, *second = NULL;
	int err = 0;

	p.encrypt = encrypt;
	if (tdo_session_make(c, slot, &p, &first) != 0)
		return -ENOMEM;
	p.encrypt = !encrypt;
	p.twin = first;
	if (tdo_session_make(c, slot, &p, &second) != 0)
		err = -ENOMEM;
	else if (!works(first, r, encrypt) || !works(second, r, !encrypt))
		err = -ELIBBAD;
	tdo_session_free(second);
	tdo_session_free(first);
	return err;
}

static void
make_row(const struct kat *k, const uint8_t *ekey, const uint8_t *akey, struct row *ret)
{
	const struct tdo_alg *enc =
	    k->ealg == TDO_EALG_DES_HALF_IV ? tdo_alg_half_iv() : tdo_alg_enc(k->ealg);
	const struct tdo_alg *auth = tdo_alg_auth(k->aalg);

	*ret = (struct row){
	    .p = {.enc = enc,
		.auth = auth,
		.ekey = ekey,
		.ekey_len = k->ekey_len,
		.akey = akey,
		.akey_len = auth ? auth->key_min / 8 : 0,
		.esn = k->esn},
	    .iv_len = enc ? enc->iv_len : 0,
	    .icv_len = auth  ? auth->icv_len
		       : enc ? enc->icv_len
			     : 0,
	};
	decode(k->cipher, ret->cipher);
	decode(k->icv, ret->icv);
}

int
tdo_selftest(struct tdo_crypto *c, const struct tdo_driver_slot *slot, const char **ret_what)
{
	uint8_t ekey[KEY_MAX], akey[KEY_MAX];
	struct row r;

	make_key(ekey, sizeof(ekey), 0x01);
	make_key(akey, sizeof(akey), 0x81);
	for (size_t i = 0; i < sizeof(kats) / sizeof(kats[0]); i++) {
		const struct tdo_alg *enc;
		unsigned key_len = 0;
		int err;

		make_row(&kats[i], ekey, akey, &r);
		enc = r.p.enc;
		if (enc)
			key_len = (unsigned)r.p.ekey_len - enc->salt_len;
		if (!slot->driver->supports(slot->state, enc, r.p.auth, key_len))
			continue;
		err = run_pair(c, slot, &r, true);
		if (err == 0)
			err = run_pair(c, slot, &r, false);
		if (err == -ELIBBAD)
			*ret_what = r.p.auth ? r.p.auth->name : enc->name;
		if (err)
			return err;
	}
	return 0;
}
