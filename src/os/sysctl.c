/* SPDX-License-Identifier: BSD-2-Clause */
#include "os/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
tdo_sysctl_ensure(enum tdo_af af, const char *iface, const char *key, const char *value)
{
	char path[128], old[32];
	size_t len = strlen(value);
	ssize_t n;
	int fd, r = 0;

	if (snprintf(path, sizeof(path), "/proc/sys/net/ipv%d/conf/%s/%s", (int)af, iface, key) >=
	    (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, old, sizeof(old) - 1);
	if (n < 0) {
		r = -errno;
	} else {
		old[n] = '\0';
		old[strcspn(old, "\n")] = '\0';
		if (strcmp(old, value) != 0)
			r = pwrite(fd, value, len, 0) == (ssize_t)len ? 1 : -errno;
	}
	close(fd);
	return r;
}
