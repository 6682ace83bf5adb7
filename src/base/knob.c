/* SPDX-License-Identifier: BSD-2-Clause */
#include "testudo/knob.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "testudo/types.h"

static const struct tdo_knob_info infos[] = {
#define KNOB(id, name4, name6, def, min, max, help)                                                \
	[TDO_KNOB_##id] = {name4, name6, def, min, max, help},
#include "testudo/knob.def"
#undef KNOB
};

/* Other spellings of the same variables (spec 5.2, 5.3, C13, C14). */
static const struct {
	const char *alias, *name;
} aliases[] = {
    {"net.inet.esp.trans_deflev", "net.inet.ipsec.esp_trans_deflev"},
    {"net.inet.esp.net_deflev", "net.inet.ipsec.esp_net_deflev"},
    {"net.inet.ah.trans_deflev", "net.inet.ipsec.ah_trans_deflev"},
    {"net.inet.ah.net_deflev", "net.inet.ipsec.ah_net_deflev"},
    {"net.inet6.esp6.trans_deflev", "net.inet6.ipsec6.esp_trans_deflev"},
    {"net.inet6.esp6.net_deflev", "net.inet6.ipsec6.esp_net_deflev"},
    {"net.inet6.ah6.trans_deflev", "net.inet6.ipsec6.ah_trans_deflev"},
    {"net.inet6.ah6.net_deflev", "net.inet6.ipsec6.ah_net_deflev"},
    {"net.inet6.esp6.esp_enable", "net.inet.esp.esp_enable"},
    {"net.key.spi_trycnt", "net.key.spi_try"},
    {"net.key.spi_minval", "net.key.spi_min_value"},
    {"net.key.spi_maxval", "net.key.spi_max_value"},
    {"net.key.int_random", "net.key.random_int"},
    {"net.key.preferred_oldsa", "net.key.prefered_oldsa"},
};

const struct tdo_knob_info *
tdo_knob_info(enum tdo_knob k)
{
	return &infos[k < TDO_KNOB_COUNT ? k : 0];
}

static const char *
canonical_name(const char *name)
{
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (strcmp(name, aliases[i].alias) == 0)
			return aliases[i].name;
	return name;
}

int
tdo_knob_find(const char *name, enum tdo_knob *ret_knob, uint8_t *ret_af)
{
	const char *want = canonical_name(name);

	for (int k = 0; k < TDO_KNOB_COUNT; k++) {
		bool four = strcmp(want, infos[k].name4) == 0;

		if (!four && (infos[k].name6 == NULL || strcmp(want, infos[k].name6) != 0))
			continue;
		*ret_knob = (enum tdo_knob)k;
		*ret_af = four ? TDO_AF_INET : TDO_AF_INET6;
		return 0;
	}
	return -ENOENT;
}
