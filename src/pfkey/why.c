/* SPDX-License-Identifier: BSD-2-Clause */
/* What is said about requests that are refused: PF_KEY itself has a number of eight bits for it. */
#include <errno.h>

#include "pfkey/endpoint.h"

/* Numbers that mean one thing for a family of messages. */
static const char *
of_associations(uint8_t type, int err)
{
	switch (err) {
	case EEXIST:
		return type == TDO_SADB_ACQUIRE
			   ? "there is such an SA"
			   : "there is an SA with this destination, protocol and SPI";
	case ENOENT:
		return type == TDO_SADB_GETSPI
			   ? "no SPI of the range that was tried is free"
			   : "there is no SA with these addresses, this protocol and SPI";
	default:
		return NULL;
	}
}

static const char *
of_policies(uint8_t type, int err)
{
	bool by_number = type == TDO_SADB_X_SPDGET || type == TDO_SADB_X_SPDDELETE2;

	switch (err) {
	case EEXIST:
		return "there is a policy with these selectors and this direction; "
		       "an update would replace it";
	case ENOENT:
		return by_number ? "there is no policy with this number"
				 : "there is no policy with these selectors and this direction";
	default:
		return NULL;
	}
}

static const char *
usual(uint8_t type, int err)
{
	switch (err) {
	case EPERM:
		return "only root and the daemon's access-group may do that";
	case EOVERFLOW:
		return "PF_KEY has no room for a number of the answer";
	case EBUSY:
		return "the client has too many unfinished dumps";
	default:
		break;
	}
	switch (type) {
	case TDO_SADB_GETSPI:
	case TDO_SADB_UPDATE:
	case TDO_SADB_ADD:
	case TDO_SADB_DELETE:
	case TDO_SADB_GET:
	case TDO_SADB_ACQUIRE:
		return of_associations(type, err);
	case TDO_SADB_X_SPDUPDATE:
	case TDO_SADB_X_SPDADD:
	case TDO_SADB_X_SPDDELETE:
	case TDO_SADB_X_SPDGET:
	case TDO_SADB_X_SPDSETIDX:
	case TDO_SADB_X_SPDDELETE2:
		return of_policies(type, err);
	case TDO_SADB_REGISTER:
		return err == EEXIST ? "the client is registered for this SA type" : NULL;
	default:
		return NULL; /* an empty database needs no words */
	}
}

struct tdo_sadb_tdo_why
tdo_pfkey_why(
    uint8_t type, int err, const struct tdo_sadb_err *wrong, const struct tdo_err *refused)
{
	if (refused->text)
		return (struct tdo_sadb_tdo_why){.text = refused->text};
	if (wrong->text)
		return (struct tdo_sadb_tdo_why){.ext = wrong->ext, .text = wrong->text};
	return (struct tdo_sadb_tdo_why){.text = usual(type, err)};
}
