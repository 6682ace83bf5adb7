/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages as they pass, and messages from files. */
#include "setkey/monitor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

#include "base/ct.h"
#include "setkey/print.h"

static void
print_time(FILE *out, bool raw)
{
	struct timeval tv;
	struct tm tm;

	gettimeofday(&tv, NULL);
	if (raw || !localtime_r(&tv.tv_sec, &tm))
		fprintf(out, "%lld.%06ld\n", (long long)tv.tv_sec, (long)tv.tv_usec);
	else
		fprintf(out, "%02d:%02d:%02d.%06ld\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
		    (long)tv.tv_usec);
}

static void
show(FILE *out, const struct monitor_options *opt, const uint8_t *msg, size_t len)
{
	if (opt->hex)
		tdo_print_hex(out, msg, len);
	else
		tdo_print_message(out, msg, len);
	fputc('\n', out);
	fflush(out);
}

/*
 * Every message comes wrapped into an X_PROMISC one.  Those that are addressed to all
 * sockets come a second time without the wrapping, which is not shown.
 */
int
tdo_monitor_run(struct client *c, FILE *out, const struct monitor_options *opt)
{
	struct tdo_wr w;
	int r;

	tdo_client_begin(c, &w, TDO_SADB_X_PROMISC, 1);
	r = tdo_client_send(c, &w);
	while (r >= 0) {
		struct tdo_sadb_msg m;

		r = tdo_client_recv(c, &m, -1);
		if (r <= 0 || m.base.type != TDO_SADB_X_PROMISC)
			continue;
		if (m.base.err != 0)
			return -m.base.err;
		if (!m.payload)
			continue;
		print_time(out, opt->raw);
		show(out, opt, m.payload, m.payload_len);
	}
	return r;
}

int
tdo_monitor_file(FILE *in, FILE *out, const struct monitor_options *opt)
{
	static uint8_t buf[TDO_SADB_MAXLEN * TDO_SADB_UNIT];
	size_t n;
	int r = 0;

	while ((n = fread(buf, 1, TDO_SADB_BASE_LEN, in)) == TDO_SADB_BASE_LEN) {
		uint16_t units;
		size_t len;

		memcpy(&units, buf + 4, sizeof(units)); /* sadb_msg_len */
		len = (size_t)units * TDO_SADB_UNIT;
		if (len < TDO_SADB_BASE_LEN ||
		    fread(buf + TDO_SADB_BASE_LEN, 1, len - TDO_SADB_BASE_LEN, in) !=
			len - TDO_SADB_BASE_LEN) {
			r = -EBADMSG;
			break;
		}
		show(out, opt, buf, len);
	}
	if (r == 0)
		r = ferror(in) ? -EIO : n > 0 ? -EBADMSG : 0;
	tdo_wipe(buf, sizeof(buf));
	return r;
}
