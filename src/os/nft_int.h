/* SPDX-License-Identifier: BSD-2-Clause */
/* Shared by nft.c and nft_expr.c. */
#ifndef TDO_OS_NFT_INT_H
#define TDO_OS_NFT_INT_H

#include "os/nft.h"

/*
 * A transaction is one datagram, and an unprivileged socket sends at most net.core.wmem_max
 * (212,992 by default) bytes.
 */
#define TDO_NFT_CAP       200000
#define TDO_NFT_HIGH      64000 /* a break commits from here on */
#define TDO_NFT_SLACK     4096
#define TDO_NFT_ELEMS_MAX 60000 /* the length of an attribute has 16 bits */

struct tdo_nft {
	struct tdo_nl nl;
	int error;             /* of an earlier piece of the transaction */
	uint32_t set_id;       /* names a set inside of a transaction */
	struct nlmsghdr *last; /* message being built, or the last one */
	struct nlattr *rule;   /* list of expressions of the rule being built */
	struct nlattr *elem;   /* list of elements of the last message, or NULL */
	char elem_set[32];
	bool elem_add;
	size_t used;
	_Alignas(struct nlmsghdr) char buf[TDO_NFT_CAP];
};

/* Starts a message of the transaction; msg_end makes its length final. */
struct nlmsghdr *tdo_nft_msg(struct tdo_nft *n, int type, uint16_t flags);
void tdo_nft_msg_end(struct tdo_nft *n);

#endif
