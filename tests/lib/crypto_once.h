/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The crypto framework for engines with one worker: drivers test themselves when it is made, so
 * all engines of a test program share it.
 */
#ifndef TDO_TESTS_CRYPTO_ONCE_H
#define TDO_TESTS_CRYPTO_ONCE_H

#include "testudo/crypto.h"

/* All drivers (NULL), or the one named, which is a constant. */
struct tdo_crypto *crypto_once_get(const char *driver);
/* Its user has ended; fails when the last one has left sessions. */
void crypto_once_put(void);

#endif
