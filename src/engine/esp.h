/* SPDX-License-Identifier: BSD-2-Clause */
/* ESP for the engine's own files: esp.c, esp_out.c, esp_in.c. */
#ifndef TDO_ENGINE_ESP_H
#define TDO_ENGINE_ESP_H

#include "engine/layer.h"

static const struct tdo_layer tdo_esp_layer = {
    .enable = TDO_KNOB_ESP_ENABLE,
    .pads = true,
    .in = TDO_STAT_ESP_IN,
    .in_bytes = TDO_STAT_ESP_IN_BYTES,
    .out = TDO_STAT_ESP_OUT,
    .out_bytes = TDO_STAT_ESP_OUT_BYTES,
    .late_accepted = TDO_STAT_ESP_LATE_ACCEPTED,
    .late_dropped = TDO_STAT_ESP_LATE_DROPPED,
};

/* Applies the SA to packets whose next SA it is; see struct tdo_pkt, layer. */
extern const struct tdo_transform tdo_esp_out;
/*
 * Removes ESP from parsed packets whose last header it is.  Packets that are not dropped are
 * parsed again and have the SA in their history.
 */
extern const struct tdo_transform tdo_esp_in;

#endif
