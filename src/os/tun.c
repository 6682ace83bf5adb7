/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/tun.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#ifndef TUN_F_USO4 /* Linux 6.2 */
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif

static int
set_offload(int fd, bool *ret_uso)
{
	unsigned base = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6, uso = TUN_F_USO4 | TUN_F_USO6;

	*ret_uso = ioctl(fd, TUNSETOFFLOAD, base | uso) == 0;
	if (*ret_uso || ioctl(fd, TUNSETOFFLOAD, base) == 0)
		return 0;
	return -errno;
}

static int
open_queue(const char *name, bool exclusive, bool *ret_uso)
{
	int hdr = (int)sizeof(struct virtio_net_hdr), fd, r;
	struct ifreq ifr;

	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	memset(&ifr, 0, sizeof(ifr));
	strncpy(ifr.ifr_name, name, IFNAMSIZ - 1);
	ifr.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | IFF_VNET_HDR | IFF_MULTI_QUEUE);
	if (exclusive)
		ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_TUN_EXCL);
	if (ioctl(fd, TUNSETIFF, &ifr) != 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) != 0)
		r = -errno;
	else
		r = set_offload(fd, ret_uso);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int
tdo_tun_open(const char *name, int *fds, unsigned n, bool *ret_uso)
{
	for (unsigned i = 0; i < n; i++) {
		int fd = open_queue(name, i == 0, ret_uso);

		if (fd < 0) {
			while (i > 0)
				close(fds[--i]);
			return fd;
		}
		fds[i] = fd;
	}
	return 0;
}
