/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The databases as one block of PF_KEY messages, as "sysctl -b net.key.dumpsa" gives it on the
 * BSDs.  The messages come from the daemon's PF_KEY socket one by one, so that a block may be
 * of any size and the daemon never holds it.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ct.h"
#include "ipc/names.h"
#include "testudo/cmd.h"
#include "wire/pfkey_msg.h"

struct dump {
	int fd;
	uint32_t pid;
	uint8_t type;
	uint8_t buf[TDO_SADB_MAXLEN];
};

static int
ask(struct dump *d, uint8_t satype)
{
	struct tdo_wr w = tdo_wr_init(d->buf, sizeof(d->buf));
	size_t len;

	tdo_sadb_begin(&w,
	    &(struct tdo_sadb_base){.type = d->type, .satype = satype, .seq = 1, .pid = d->pid});
	len = tdo_sadb_end(&w);
	return send(d->fd, d->buf, len, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* One message of the dump: 1 there are more, 0 it was the last, -errno.  Others are skipped. */
static int
copy_one(struct dump *d)
{
	struct tdo_sadb_base b;
	ssize_t n = recv(d->fd, d->buf, sizeof(d->buf), 0);

	if (n <= 0)
		return n == 0 ? -ECONNRESET : errno == EINTR ? 1 : -errno;
	/* A privileged client also hears of changes, and of dumps of nobody else. */
	if (!tdo_sadb_base_read(d->buf, (size_t)n, &b) || b.type != d->type || b.pid != d->pid)
		return 1;
	if (b.err != 0)
		return b.err == ENOENT ? 0 : -b.err; /* an empty database is an empty block */
	if (fwrite(d->buf, 1, (size_t)n, stdout) != (size_t)n)
		return errno != 0 ? -errno : -EIO;
	return b.seq != 0;
}

int
tdo_cmd_dump(uint8_t type, uint8_t satype)
{
	static struct dump d;
	int rc;

	d.type = type;
	d.pid = (uint32_t)getpid();
	d.fd = tdo_ipc_connect(TDO_PFKEY_NAME);
	rc = d.fd < 0 ? d.fd : ask(&d, satype);
	if (rc == 0)
		do
			rc = copy_one(&d);
		while (rc > 0);
	if (rc == 0 && fflush(stdout) != 0)
		rc = -errno;
	tdo_wipe(d.buf, sizeof(d.buf));
	if (d.fd >= 0)
		(void)close(d.fd);
	if (rc == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "testudo: dump: %s\n", strerror(-rc));
	return EXIT_FAILURE;
}
