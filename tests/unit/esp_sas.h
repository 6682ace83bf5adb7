/* SPDX-License-Identifier: BSD-2-Clause */
/* SAs of the tests of ESP. */
#ifndef TDO_TESTS_ESP_SAS_H
#define TDO_TESTS_ESP_SAS_H

#include "fixture.h"
#include "hosts.h"

static const struct fx_sa null_tr __attribute__((unused)) = {
    .src = A, .dst = B, .spi = 0x1001, .mode = TDO_MODE_TRANSPORT, .enc = "null"};
static const struct fx_sa null_tu __attribute__((unused)) = {
    .src = G, .dst = H, .spi = 0x1002, .mode = TDO_MODE_TUNNEL, .enc = "null"};
static const struct fx_sa gcm_tr __attribute__((unused)) = {.src = A,
    .dst = B,
    .spi = 0x1003,
    .mode = TDO_MODE_TRANSPORT,
    .enc = "aes-gcm-16",
    .replay = 64};
static const struct fx_sa cbc_tu __attribute__((unused)) = {.src = G,
    .dst = H,
    .spi = 0x1004,
    .mode = TDO_MODE_TUNNEL,
    .enc = "aes-cbc",
    .auth = "hmac-sha1",
    .replay = 64};

#endif
