/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Plays a corpus without libFuzzer: every file of the directories given, and every
 * prefix of the small ones.  Each input is an allocation of its exact size, so that the
 * address sanitizer sees the first byte read beyond it.  Playing nothing is a failure.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

enum {
	INPUT_MAX = 1 << 20,
	PREFIXES_MAX = 2048, /* longer inputs are played whole only: the work is quadratic */
};

static void
play(const uint8_t *data, size_t len)
{
	uint8_t *p = malloc(len > 0 ? len : 1);

	if (!p) {
		perror("malloc");
		exit(1);
	}
	memcpy(p, data, len);
	LLVMFuzzerTestOneInput(p, len);
	free(p);
}

static bool
play_file(const char *path)
{
	static uint8_t data[INPUT_MAX];
	FILE *f = fopen(path, "rb");
	size_t len;

	if (!f) {
		perror(path);
		return false;
	}
	len = fread(data, 1, sizeof(data), f);
	fclose(f);
	if (len <= PREFIXES_MAX)
		for (size_t n = 0; n < len; n++)
			play(data, n);
	play(data, len);
	return true;
}

/* Number of files played, or -1. */
static int
play_directory(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	char name[4096];
	int n = 0;

	if (!d) {
		perror(path);
		return -1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, e->d_name);
		if (!play_file(name)) {
			n = -1;
			break;
		}
		n++;
	}
	closedir(d);
	return n;
}

int
main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int n = play_directory(argv[i]);

		if (n <= 0) {
			fprintf(stderr, "%s: nothing to play\n", argv[i]);
			return 1;
		}
		printf("%s: %d inputs\n", argv[i], n);
	}
	return argc > 1 ? 0 : 1;
}
