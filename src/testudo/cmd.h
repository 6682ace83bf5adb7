/* SPDX-License-Identifier: BSD-2-Clause */
/* testudo(8): one file per command. */
#ifndef TDO_TESTUDO_CMD_H
#define TDO_TESTUDO_CMD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct tdo_cmd_opts {
	bool json; /* --json: for programs */
	bool all;  /* -a, --all */
};

/* Exit status; argv[0] is the name of the command. */
int tdo_cmd_stats(const struct tdo_cmd_opts *o, int argc, char **argv);
int tdo_cmd_drops(const struct tdo_cmd_opts *o, int argc, char **argv);
int tdo_cmd_netstat(const struct tdo_cmd_opts *o, int argc, char **argv);
int tdo_cmd_sysctl(const struct tdo_cmd_opts *o, int argc, char **argv);
int tdo_cmd_doctor(const struct tdo_cmd_opts *o, int argc, char **argv);

/*
 * Asks the daemon of this network namespace; consumes request.  A new reference to whatever it
 * says, or NULL with a message at *ret_error (valid until the next call): there is no daemon.
 */
json_t *tdo_cmd_call(json_t *request, const char **ret_error);
/* The same, but NULL and the message also when it says that something is wrong. */
json_t *tdo_cmd_ask(json_t *request, const char **ret_error);
/* The same, for commands that cannot go on without: says what is wrong on stderr. */
json_t *tdo_cmd_ask_or_warn(json_t *request);

/* dump.c: writes SAs (SADB_DUMP) or policies (X_SPDDUMP) to stdout; exit status. */
int tdo_cmd_dump(uint8_t type, uint8_t satype);

/* Writes j and a line end to stdout. */
int tdo_cmd_print_json(const json_t *j);

/* Members of an object with defaults. */
json_int_t tdo_cmd_int(const json_t *o, const char *key);
const char *tdo_cmd_str(const json_t *o, const char *key);

#endif
