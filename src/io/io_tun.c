/* SPDX-License-Identifier: BSD-2-Clause */
/* The TUN. */
#include "io/io_tun.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "io/vnet.h"

/* virtio GSO_UDP_L4 on a TUN came with Linux 6.2 ("tuntap: support USO"). */
static bool
kernel_has_uso(void)
{
	struct utsname u;
	unsigned long major, minor;
	char *end;

	if (uname(&u) != 0)
		return false;
	major = strtoul(u.release, &end, 10);
	if (*end != '.')
		return false;
	minor = strtoul(end + 1, NULL, 10);
	return major > 6 || (major == 6 && minor >= 2);
}

void
tdo_tun_init(struct tdo_tun *t, int fd, struct tdo_iostat *rd, struct tdo_iostat *wr)
{
	*t = (struct tdo_tun){.fd = fd, .uso = kernel_has_uso(), .rd = rd, .wr = wr};
}

/* Packets on the wire that a super-packet stands for; only a counter depends on it. */
static unsigned
segments(const struct tdo_pkt *p)
{
	return p->gso == TDO_GSO_NONE ? 1 : (p->len + p->gso_size - 1) / p->gso_size;
}

unsigned
tdo_tun_read(
    struct tdo_tun *t, struct tdo_pool *pool, struct tdo_pkt **pk, unsigned max, bool *ret_more)
{
	uint32_t bytes = 0;
	unsigned n = 0;

	*ret_more = true;
	while (n < max && bytes < TDO_TUN_READ_BYTES) {
		struct tdo_pkt *p = tdo_pool_take(pool, TDO_PKT_MAXLEN);
		uint8_t hdr[TDO_VNET_HLEN];
		struct iovec iov[2];
		ssize_t len;

		if (p == NULL)
			break;
		iov[0] = (struct iovec){hdr, sizeof(hdr)};
		iov[1] = (struct iovec){tdo_pkt_data(p), TDO_PKT_MAXLEN};
		len = readv(t->fd, iov, 2);
		if (len <= (ssize_t)sizeof(hdr)) {
			tdo_pool_drop_last(pool, p);
			if (len < 0 && errno == EINTR)
				continue;
			*ret_more = false;
			break;
		}
		p->len = (uint32_t)len - (uint32_t)sizeof(hdr);
		if (!tdo_vnet_decode(hdr, p)) {
			tdo_iostat_bump(&t->rd->errors, 1);
			tdo_pool_drop_last(pool, p);
			continue;
		}
		tdo_iostat_add(t->rd, segments(p), p->len);
		tdo_pool_shrink(pool, p);
		bytes += p->len;
		pk[n++] = p;
	}
	return n;
}

int
tdo_tun_write(struct tdo_tun *t, const struct tdo_pkt *p)
{
	uint8_t hdr[TDO_VNET_HLEN];
	struct iovec iov[2] = {{hdr, sizeof(hdr)}, {tdo_pkt_data(p), p->len}};
	ssize_t len;

	tdo_vnet_encode(p, hdr);
	do {
		len = writev(t->fd, iov, 2);
	} while (len < 0 && errno == EINTR);
	if (len < 0) {
		int rc = -errno;

		tdo_iostat_bump(&t->wr->errors, 1);
		return rc;
	}
	tdo_iostat_add(t->wr, segments(p), p->len);
	return 0;
}
