/* SPDX-License-Identifier: BSD-2-Clause */
/* testudod(8): options and configuration. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/conf.h"
#include "daemon/log.h"
#include "daemon/parent.h"

#define DEFAULT_CONF TDO_SYSCONFDIR "/testudod.conf"

static void
usage(void)
{
	fputs("usage: testudod [-dnv] [-f file]\n", stderr);
	exit(EXIT_FAILURE);
}

/* The file of -f must exist; without it, a default file that does not exist is empty. */
static int
read_conf(struct tdo_conf *conf, const char *path)
{
	const char *name = path ? path : DEFAULT_CONF;
	char err[512];
	FILE *f = fopen(name, "re");
	int r;

	if (!f && !path && errno == ENOENT)
		return 0;
	if (!f) {
		fprintf(stderr, "testudod: %s: %s\n", name, strerror(errno));
		return -1;
	}
	r = tdo_conf_read(conf, f, name, err, sizeof(err));
	fclose(f);
	if (r < 0)
		fprintf(stderr, "testudod: %s\n", err);
	return r;
}

int
main(int argc, char **argv)
{
	bool check = false, debug = false;
	const char *path = NULL;
	struct tdo_conf conf;
	int c, status = EXIT_SUCCESS;

	while ((c = getopt(argc, argv, "df:nv")) != -1) {
		switch (c) {
		case 'd':
			debug = true;
			break;
		case 'f':
			path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'v':
			puts("testudod " TDO_VERSION);
			return EXIT_SUCCESS;
		default:
			usage();
		}
	}
	if (optind != argc)
		usage();
	tdo_conf_init(&conf);
	if (read_conf(&conf, path) < 0)
		return EXIT_FAILURE;
	if (debug) {
		conf.debug = true;
		conf.log = TDO_CONF_STDERR;
	}
	if (!check) {
		tdo_log_open(conf.log == TDO_CONF_SYSLOG, conf.debug);
		status = tdo_parent_run(&conf);
	}
	tdo_conf_fini(&conf);
	return status;
}
