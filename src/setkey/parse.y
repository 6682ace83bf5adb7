/* SPDX-License-Identifier: BSD-2-Clause */
/* Grammar of the setkey language; what the pieces mean is in build_*.c. */

%define api.pure full
%define api.prefix {setkey_yy}
%define api.location.type {struct parse_loc}
%define parse.error detailed
%define parse.trace
%locations
%parse-param {struct parse *p} {void *scanner}
%lex-param {void *scanner}
%initial-action {
	@$ = (struct parse_loc){.first = {1, 1}, .last = {1, 1}};
}

%code requires {
#include "setkey/build.h"
}

%code {
#include <string.h>

#define YYLLOC_DEFAULT(cur, rhs, n)                                                                \
	((cur).first = (n) ? YYRHSLOC(rhs, 1).first : YYRHSLOC(rhs, 0).last,                        \
	    (cur).last = YYRHSLOC(rhs, n).last)

int setkey_yylex(SETKEY_YYSTYPE *value, SETKEY_YYLTYPE *loc, void *scanner);
static void setkey_yyerror(
    const SETKEY_YYLTYPE *loc, struct parse *p, void *scanner, const char *text);
char *setkey_yyget_text(void *scanner);
int setkey_yylex_init_extra(struct parse *p, void **ret);
int setkey_yylex_destroy(void *scanner);

static const struct text none;
}

%union {
	struct text text;
	enum stmt_kind kind;
}

%token <kind>
	SA_NEW "add"
	SA_CHANGE "update"
	SA_SPI "getspi"
	SA_OLD "get, delete"
	SA_ALL "deleteall"
	SA_SET "flush, dump"
	SP_NEW "spdadd, spdupdate"
	SP_OLD "spddelete"
	SP_SET "spdflush, spddump"
%token
	EXIT "exit"
	TAGGED "tagged"
	TYPE "type"
	CODE "code"
	O_MODE "-m" O_REPLAY "-r" O_REQID "-u" O_FLAG "-f"
	O_LH "-lh" O_LS "-ls" O_BH "-bh" O_BS "-bs"
	O_ESN "-esn" O_NATT "-natt" O_FRAG "-natt_mtu" O_CTX "-ctx" O_HWIF "-hwif"
	O_OPTION "-o" O_SEL "-sel" O_NEW "-new"
	O_ENC "-E" O_AUTH "-A" O_COMP "-C" O_RAW "-R" O_POLICY "-P"
	BAD "unknown text"
%token <text>
	O_FAMILY "-4, -6 or -n"
	NUMBER "number"
	HEX "0x number"
	WORD "name"
	QUOTED "quoted string"
	OPTION "option"
	POLICY "policy"

%type <text> host port plen number name value key opt_key

%destructor { tdo_stmt_free($$.s); } <text>

%%

input:
	  %empty
	| input statement ';'
		{
			if (tdo_build_finish(p) != 0)
				YYACCEPT;
		}
	| input EXIT
		{ YYACCEPT; }
	;

statement:
	  SA_NEW { tdo_build_start(p, $1, &@1); } families sa spi extensions algorithms
		{
			if (!tdo_build_sa_check(p, &@7))
				YYABORT;
		}
	| SA_CHANGE { tdo_build_start(p, $1, &@1); } families sa spi extensions opt_algorithms
		{
			if (!tdo_build_sa_check(p, &@7))
				YYABORT;
		}
	| SA_SPI { tdo_build_start(p, $1, &@1); } families sa spi extensions
	| SA_OLD { tdo_build_start(p, $1, &@1); } families sa spi extensions
	| SA_ALL { tdo_build_start(p, $1, &@1); } families sa_noports
	| SA_SET { tdo_build_start(p, $1, &@1); } opt_proto
	| SP_NEW { tdo_build_start(p, $1, &@1); } families sel context policy
	| SP_NEW TAGGED
		{
			tdo_build_unsupported(p, &@2, "tagged");
			YYABORT;
		}
	| SP_OLD { tdo_build_start(p, $1, &@1); } families sel policy
	| SP_SET { tdo_build_start(p, $1, &@1); }
	;

families:
	  %empty
	| families O_FAMILY
		{
			if (!tdo_build_family(p, $2))
				YYABORT;
		}
	;

/* ---- SA statements ---- */

sa:
	  src dst proto
	;

sa_noports:
	  src_noport dst_noport proto
	;

src_noport:
	  host
		{
			if (!tdo_build_src(p, $1, none))
				YYABORT;
		}
	;

dst_noport:
	  host
		{
			if (!tdo_build_dst(p, $1, none))
				YYABORT;
		}
	;

src:
	  host port
		{
			if (!tdo_build_src(p, $1, $2))
				YYABORT;
		}
	;

dst:
	  host port
		{
			if (!tdo_build_dst(p, $1, $2))
				YYABORT;
		}
	;

host:
	  WORD
	| NUMBER
	| HEX
	;

port:
	  %empty
		{ $$ = none; }
	| '[' name ']'
		{ $$ = $2; }
	;

name:
	  WORD
	| NUMBER
	;

number:
	  NUMBER
	| HEX
	;

opt_proto:
	  %empty
	| WORD
		{
			if (!tdo_build_proto(p, $1))
				YYABORT;
		}
	;

proto:
	  WORD
		{
			if (!tdo_build_proto(p, $1))
				YYABORT;
		}
	| WORD WORD
		{
			if (!tdo_build_proto(p, $1)) {
				tdo_stmt_free($2.s);
				YYABORT;
			}
			if (!tdo_build_oa(p, $2))
				YYABORT;
		}
	;

spi:
	  number
		{
			if (!tdo_build_spi(p, $1))
				YYABORT;
		}
	;

extensions:
	  %empty
	| extensions extension
	;

extension:
	  O_MODE WORD
		{
			if (!tdo_build_mode(p, $2))
				YYABORT;
		}
	| O_REPLAY number
		{
			if (!tdo_build_replay(p, $2))
				YYABORT;
		}
	| O_REQID number
		{
			if (!tdo_build_reqid(p, $2))
				YYABORT;
		}
	| O_FLAG WORD
		{
			if (!tdo_build_flag(p, $2))
				YYABORT;
		}
	| O_LH number
		{
			if (!tdo_build_seconds(p, $2, true))
				YYABORT;
		}
	| O_LS number
		{
			if (!tdo_build_seconds(p, $2, false))
				YYABORT;
		}
	| O_BH number
		{
			if (!tdo_build_bytes(p, $2, true))
				YYABORT;
		}
	| O_BS number
		{
			if (!tdo_build_bytes(p, $2, false))
				YYABORT;
		}
	| O_ESN
		{
			if (!tdo_build_esn(p, &@1))
				YYABORT;
		}
	| O_NATT natt_oai natt_oar
	| O_FRAG number
		{
			if (!tdo_build_frag(p, $2))
				YYABORT;
		}
	| O_NEW host host
		{
			if (!tdo_build_new(p, &@1, $2, $3))
				YYABORT;
		}
	| O_SEL sel
		{ tdo_build_sa_sel(p); }
	| option
	| unsupported
	;

option:
	  O_OPTION OPTION
		{
			if (!tdo_build_option(p, $2))
				YYABORT;
		}
	;

unsupported:
	  O_CTX
		{
			tdo_build_unsupported(p, &@1, "-ctx");
			YYABORT;
		}
	| O_HWIF
		{
			tdo_build_unsupported(p, &@1, "-hwif");
			YYABORT;
		}
	;

natt_oai:
	  host port
		{
			if (!tdo_build_natt_end(p, $1, $2, true))
				YYABORT;
		}
	;

natt_oar:
	  host port
		{
			if (!tdo_build_natt_end(p, $1, $2, false))
				YYABORT;
		}
	;

opt_algorithms:
	  %empty
	| algorithms
	;

algorithms:
	  O_ENC WORD opt_key
		{
			if (!tdo_build_enc(p, $2, $3))
				YYABORT;
		}
	| O_ENC WORD opt_key O_AUTH WORD opt_key
		{
			if (!tdo_build_enc(p, $2, $3)) {
				tdo_stmt_free($5.s);
				tdo_stmt_free($6.s);
				YYABORT;
			}
			if (!tdo_build_auth(p, $5, $6))
				YYABORT;
		}
	| O_AUTH WORD opt_key
		{
			if (!tdo_build_auth(p, $2, $3))
				YYABORT;
		}
	| O_COMP WORD
		{
			if (!tdo_build_comp(p, $2, false))
				YYABORT;
		}
	| O_COMP WORD O_RAW
		{
			if (!tdo_build_comp(p, $2, true))
				YYABORT;
		}
	;

opt_key:
	  %empty
		{ $$ = (struct text){.loc = @$}; }
	| key
	;

key:
	  QUOTED
	| HEX
	;

/* ---- policy statements ---- */

sel:
	  src_range dst_range upper
	;

src_range:
	  host plen port
		{
			if (!tdo_build_src_range(p, $1, $2, $3))
				YYABORT;
		}
	;

dst_range:
	  host plen port
		{
			if (!tdo_build_dst_range(p, $1, $2, $3))
				YYABORT;
		}
	;

plen:
	  %empty
		{ $$ = none; }
	| '/' NUMBER
		{ $$ = $2; }
	;

upper:
	  name
		{
			if (!tdo_build_upper(p, $1, none, none))
				YYABORT;
		}
	| name name
		{
			if (!tdo_build_upper(p, $1, $2, none))
				YYABORT;
		}
	| name NUMBER ',' NUMBER
		{
			if (!tdo_build_upper(p, $1, $2, $4))
				YYABORT;
		}
	| name TYPE value
		{
			if (!tdo_build_upper_type(p, $1, $3, none))
				YYABORT;
		}
	| name TYPE value CODE value
		{
			if (!tdo_build_upper_type(p, $1, $3, $5))
				YYABORT;
		}
	;

value:
	  NUMBER
	| WORD
	;

context:
	  %empty
	| context option
	| unsupported
	;

policy:
	  O_POLICY POLICY
		{
			if (!tdo_build_policy(p, $2))
				YYABORT;
		}
	;

%%

static void
setkey_yyerror(const SETKEY_YYLTYPE *loc, struct parse *p, void *scanner, const char *text)
{
	const char *token = setkey_yyget_text(scanner);

	if (p->read_error != 0)
		text = strerror(p->read_error);
	tdo_build_fail(p, loc->first, token && *token ? token : "end of file", "%s", text);
}

int
tdo_parse_run(struct parse *p)
{
	void *scanner;
	int r;

	p->at = (struct parse_pos){1, 1};
	p->read_error = 0;
	p->error = (struct parse_error){0};
	if (setkey_yylex_init_extra(p, &scanner) != 0) {
		tdo_build_fail(p, p->at, NULL, "out of memory");
		return -1;
	}
#if SETKEY_YYDEBUG
	/* Bison has one switch for the program: parsers that do not trace leave it alone. */
	if (p->debug)
		setkey_yydebug = 1;
#endif
	r = setkey_yyparse(p, scanner);
	setkey_yylex_destroy(scanner);
	tdo_stmt_fini(&p->cur);
	return r == 0 ? 0 : -1;
}
