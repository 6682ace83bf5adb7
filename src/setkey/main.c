/* SPDX-License-Identifier: BSD-2-Clause */
/* setkey(8): options, and where the statements come from. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "setkey/exec.h"
#include "setkey/monitor.h"
#include "setkey/parse.h"

enum mode { MODE_NONE, MODE_STDIN, MODE_FILE, MODE_DUMP, MODE_FLUSH, MODE_MONITOR };

struct options {
	enum mode mode;
	const char *file; /* of -f */
	bool policies;    /* -P */
	bool check;       /* -n */
	bool verbose;     /* -v */
	bool debug;       /* -d */
	bool strict;      /* -e */
	bool help;        /* -h */
	unsigned monitor; /* how many -x */
	bool loop;        /* -l */
	bool hex;         /* -H */
	struct exec_options exec;
};

static const char version[] = "setkey (testudo) " TDO_VERSION;

static const char usage_text[] =
    "usage: setkey [-dknrv] [-e] -c               statements from standard input\n"
    "       setkey [-dknrv] [-e] -f file          statements from a file, - is standard input\n"
    "       setkey [-aklprv] -D                   print the SAs\n"
    "       setkey [-gklNprtv] -DP                print the policies\n"
    "       setkey [-v] -F                        delete all SAs\n"
    "       setkey [-v] -FP                       delete all policies\n"
    "       setkey [-Hv] -x | -xx                 print PF_KEY messages as they pass\n"
    "       setkey [-Hknrv] file ...              print the PF_KEY messages in files\n"
    "       setkey -V | -h | -?                   version, this help\n";

static int
usage(void)
{
	printf("%s\n%s", version, usage_text);
	return EXIT_FAILURE;
}

/* A mode may be given once only, but -D with -P and so on combine. */
static bool
set_mode(struct options *o, enum mode mode)
{
	if (o->mode != MODE_NONE && o->mode != mode)
		return false;
	o->mode = mode;
	return true;
}

static bool
set_flag(struct options *o, int c)
{
	switch (c) {
	case 'a':
		return o->exec.dead = true;
	case 'd':
		return o->debug = true;
	case 'e':
		return o->strict = true;
	case 'g':
		return o->exec.global = true;
	case 'H':
		return o->hex = true;
	case 'h':
		return o->help = true;
	case 'k': /* "in" covers forwarded packets here, with and without -k, -r */
	case 'r':
		return true;
	case 'l':
		return o->loop = true;
	case 'N':
		return o->exec.no_socket = true;
	case 'n':
		return o->check = true;
	case 'P':
		return o->policies = true;
	case 'p':
		return o->exec.ports = true;
	case 't':
		return o->exec.scoped = true;
	case 'v':
		return o->verbose = true;
	default:
		return false;
	}
}

static bool
set_option(struct options *o, int c)
{
	switch (c) {
	case 'c':
		return set_mode(o, MODE_STDIN);
	case 'D':
		return set_mode(o, MODE_DUMP);
	case 'F':
		return set_mode(o, MODE_FLUSH);
	case 'f':
		o->file = optarg;
		return set_mode(o, MODE_FILE);
	case 'x':
		o->monitor++;
		return set_mode(o, MODE_MONITOR);
	default:
		return set_flag(o, c);
	}
}

/* ---- statements --------------------------------------------------------------------- */

struct script {
	struct exec *x;
	const struct options *opt;
	int fd;
	bool at_once; /* reading never waits: it is a file */
	int broken;   /* -errno of the connection */
};

/*
 * What was sent is waited for before more is read, so that results never wait for the
 * person or program that writes the statements.  A file is read without pauses.
 */
static int
script_read(void *ctx, char *buf, size_t max)
{
	struct script *s = ctx;
	ssize_t n;

	if (s->broken == 0 && !s->opt->check && !s->at_once)
		s->broken = tdo_exec_wait(s->x);
	if (s->broken != 0)
		return 0;
	if (!s->at_once)
		fflush(stdout);
	do
		n = read(s->fd, buf, max);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

static int
script_take(void *ctx, const struct stmt *st)
{
	struct script *s = ctx;

	if (s->opt->check) {
		if (s->opt->verbose)
			tdo_stmt_print(stdout, st);
		return 0;
	}
	s->broken = tdo_exec_stmt(s->x, st);
	return s->broken;
}

static void
print_error(const struct parse_error *e)
{
	printf("line %u, column %u: %s", e->pos.line, e->pos.column, e->text);
	if (e->token[0])
		printf(" at [%s]", e->token);
	putchar('\n');
}

static void
script_warn(void *ctx, const struct parse_error *w)
{
	(void)ctx;
	print_error(w);
}

static bool
is_file(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

static int
run_script(struct exec *x, const struct options *opt, int fd)
{
	struct script s = {.x = x, .opt = opt, .fd = fd, .at_once = is_file(fd)};
	struct parse p = {.read = script_read,
	    .take = script_take,
	    .warn = script_warn,
	    .ctx = &s,
	    .names = &tdo_names_system,
	    .debug = opt->debug};
	bool bad = tdo_parse_run(&p) != 0;

	if (!opt->check && s.broken == 0)
		s.broken = tdo_exec_wait(x);
	tdo_progress_end(&x->progress);
	if (s.broken != 0) {
		fprintf(stderr, "setkey: %s\n", strerror(-s.broken));
		return EXIT_FAILURE;
	}
	if (bad) {
		print_error(&p.error);
		if (opt->mode == MODE_FILE)
			printf("parse failed, line %u.\n", p.error.pos.line);
	}
	/* spec 2.1: errors of statements are no failure of setkey, except by -e. */
	if ((bad && opt->mode == MODE_FILE) || (opt->strict && (bad || x->failed > 0)))
		return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

static int
open_script(const struct options *opt)
{
	int fd;

	if (opt->mode == MODE_STDIN || strcmp(opt->file, "-") == 0)
		return STDIN_FILENO;
	fd = open(opt->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		fprintf(stderr, "setkey: %s: %s\n", opt->file, strerror(errno));
	return fd;
}

/* ---- modes -------------------------------------------------------------------------- */

static int
run_dump(struct exec *x, const struct options *opt)
{
	int r;

	do {
		r = opt->policies ? tdo_exec_spddump(x, 0) : tdo_exec_dump(x, TDO_SATYPE_UNSPEC, 0);
	} while (r == 0 && opt->loop && sleep(1) == 0);
	return r;
}

static int
run_flush(struct exec *x, const struct options *opt)
{
	int r = opt->policies ? tdo_exec_spdflush(x, 0) : tdo_exec_flush(x, TDO_SATYPE_UNSPEC, 0);

	r = r != 0 ? r : tdo_exec_wait(x);
	tdo_progress_end(&x->progress);
	return r;
}

static int
run_files(char **files, const struct options *opt)
{
	const struct monitor_options mo = {.hex = opt->hex};
	int status = EXIT_SUCCESS;

	for (; *files; files++) {
		FILE *f = fopen(*files, "re");
		int r = f ? tdo_monitor_file(f, stdout, &mo) : -errno;

		if (f)
			fclose(f);
		if (r == 0)
			continue;
		fprintf(stderr, "setkey: %s: %s\n", *files,
		    r == -EBADMSG ? "does not hold PF_KEY messages" : strerror(-r));
		status = EXIT_FAILURE;
	}
	return status;
}

static int
run_connected(struct exec *x, const struct options *opt)
{
	const struct monitor_options mo = {.hex = opt->hex || opt->help, .raw = opt->monitor > 1};
	int r;

	switch (opt->mode) {
	case MODE_DUMP:
		r = run_dump(x, opt);
		break;
	case MODE_FLUSH:
		r = run_flush(x, opt);
		break;
	default:
		r = tdo_monitor_run(x->client, stdout, &mo);
		break;
	}
	if (r == 0)
		return opt->strict && x->failed > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	fprintf(stderr, "setkey: %s\n", strerror(-r));
	return EXIT_FAILURE;
}

static int
run(const struct options *opt)
{
	static struct client client = {.fd = -1};
	static struct exec x = {.client = &client, .names = &tdo_names_system};
	bool script = opt->mode == MODE_STDIN || opt->mode == MODE_FILE;
	int fd = script ? open_script(opt) : -1, status, r;

	if (script && fd < 0)
		return EXIT_FAILURE;
	if (script && opt->check)
		return run_script(&x, opt, fd);
	r = tdo_client_open(&client);
	if (r != 0) {
		fprintf(stderr, "setkey: %s\n", tdo_client_open_text(r));
		return EXIT_FAILURE;
	}
	x.out = stdout;
	x.opt = opt->exec;
	x.opt.with_line = opt->mode == MODE_FILE;
	x.opt.line = opt->loop;
	/* Entries that are written to the same terminal are progress enough. */
	if (isatty(STDERR_FILENO) && !opt->verbose &&
	    !(opt->mode == MODE_DUMP && isatty(STDOUT_FILENO)))
		x.progress.out = stderr;
	x.progress.apart = !isatty(STDOUT_FILENO);
	if (opt->mode != MODE_MONITOR)
		r = tdo_client_ask_rows(&client, EXEC_PATIENCE_MS);
	/* Who wants to see messages wants to see them one by one, and those of statements. */
	client.trace = opt->verbose && opt->mode != MODE_MONITOR ? stdout : NULL;
	if (r != 0) {
		fprintf(stderr, "setkey: %s\n", strerror(-r));
		tdo_client_close(&client);
		return EXIT_FAILURE;
	}
	status = script ? run_script(&x, opt, fd) : run_connected(&x, opt);
	tdo_client_close(&client);
	return status;
}

int
main(int argc, char **argv)
{
	struct options opt = {0};
	int c;

	signal(SIGPIPE, SIG_IGN);
	while ((c = getopt(argc, argv, "acDdeFf:gHhklNnPprtVvx")) != -1) {
		if (c == 'V') {
			puts(version);
			return EXIT_FAILURE;
		}
		if (!set_option(&opt, c))
			return usage();
	}
	if (opt.help && opt.mode != MODE_MONITOR)
		return usage();
	if (opt.mode == MODE_NONE)
		return optind < argc ? run_files(argv + optind, &opt) : usage();
	if (optind < argc)
		return usage();
	c = run(&opt);
	if (fflush(stdout) != 0)
		c = EXIT_FAILURE;
	return c;
}
