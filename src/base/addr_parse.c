/* SPDX-License-Identifier: BSD-2-Clause */
/* Numeric addresses from text: dotted quads, and IPv6 by RFC 4291 section 2.2. */
#include <errno.h>

#include "base/addr.h"
#include "base/be.h"

/* Four decimal numbers without leading zeros, which some programs read as octal. */
static bool
parse_quad(const char *s, size_t len, uint8_t *ret)
{
	size_t i = 0;

	for (int part = 0; part < 4; part++) {
		unsigned v = 0, digits = 0;

		if (part > 0 && (i >= len || s[i++] != '.'))
			return false;
		for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
			if (digits++ > 0 && v == 0)
				return false;
			v = v * 10 + (unsigned)(s[i] - '0');
			if (v > 255)
				return false;
		}
		if (digits == 0)
			return false;
		ret[part] = (uint8_t)v;
	}
	return i == len;
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* One to four hexadecimal digits; returns how many, 0 when there are none or too many. */
static size_t
parse_group(const char *s, size_t len, uint8_t *ret)
{
	unsigned v = 0;
	size_t n = 0;

	for (; n < len && hex_digit(s[n]) >= 0; n++) {
		if (n == 4)
			return 0;
		v = v << 4 | (unsigned)hex_digit(s[n]);
	}
	tdo_put_be16(ret, (uint16_t)v);
	return n;
}

static bool
parse_inet6(const char *s, size_t len, uint8_t *ret)
{
	uint8_t b[16] = {0};
	size_t at = 0, i = 0,
	       gap = sizeof(b) + 1; /* gap: where "::" stands, beyond the end: none */

	if (len >= 2 && s[0] == ':' && s[1] == ':') {
		gap = 0;
		i = 2;
	}
	while (i < len) {
		size_t n;

		if (at <= 12 && parse_quad(s + i, len - i, b + at)) {
			at += 4;
			break;
		}
		if (at > 14)
			return false;
		n = parse_group(s + i, len - i, b + at);
		if (n == 0)
			return false;
		at += 2;
		i += n;
		if (i == len)
			break;
		if (s[i++] != ':' || i == len)
			return false;
		if (s[i] == ':') {
			if (gap <= sizeof(b))
				return false;
			gap = at;
			i++;
		}
	}
	if (gap > sizeof(b) ? at != sizeof(b) : at > 14)
		return false;
	memset(ret, 0, sizeof(b));
	if (gap > at)
		gap = at;
	memcpy(ret, b, gap);
	memcpy(ret + sizeof(b) - (at - gap), b + gap, at - gap);
	return true;
}

int
tdo_addr_parse(const char *s, size_t len, struct tdo_addr *ret)
{
	struct tdo_addr a = {.af = TDO_AF_INET};

	if (!parse_quad(s, len, a.b)) {
		a = (struct tdo_addr){.af = TDO_AF_INET6};
		if (!parse_inet6(s, len, a.b))
			return -EINVAL;
	}
	*ret = a;
	return 0;
}
