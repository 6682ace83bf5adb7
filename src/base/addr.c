/* SPDX-License-Identifier: BSD-2-Clause */
/* Text form of addresses; IPv6 by the rules of RFC 5952 section 4. */
#include "base/addr.h"

#include <stdio.h>

#include "base/be.h"

/* Finds the longest run of two or more zero groups (RFC 5952 4.2.2, 4.2.3). */
static void
longest_zero_run(const uint8_t *b, int *ret_at, int *ret_len)
{
	int at = -1, len = 1;

	for (int i = 0; i < 8;) {
		int n = 0;

		while (i + n < 8 && tdo_be16(b + 2 * (i + n)) == 0)
			n++;
		if (n > len) {
			at = i;
			len = n;
		}
		i += n ? n : 1;
	}
	*ret_at = at;
	*ret_len = len;
}

static void
print_inet6(const uint8_t *b, char *buf)
{
	int at, len;
	size_t n = 0;

	longest_zero_run(b, &at, &len);
	for (int i = 0; i < 8; i++) {
		if (i == at) {
			n += (size_t)snprintf(buf + n, TDO_ADDR_STRLEN - n, "::");
			i += len - 1;
			continue;
		}
		if (n > 0 && buf[n - 1] != ':')
			buf[n++] = ':';
		n += (size_t)snprintf(
		    buf + n, TDO_ADDR_STRLEN - n, "%x", (unsigned)tdo_be16(b + 2 * i));
	}
}

char *
tdo_addr_str(const struct tdo_addr *a, char *buf)
{
	if (a->af == TDO_AF_INET)
		snprintf(buf, TDO_ADDR_STRLEN, "%u.%u.%u.%u", a->b[0], a->b[1], a->b[2], a->b[3]);
	else if (a->af == TDO_AF_INET6)
		print_inet6(a->b, buf);
	else
		snprintf(buf, TDO_ADDR_STRLEN, "none");
	return buf;
}
