/* SPDX-License-Identifier: BSD-2-Clause */
/* Settings: which values they take, and what a change brings with it. */
#include <errno.h>

#include "engine/control.h"
#include "engine/encap.h"

static bool
is_in_use(const struct tdo_engine *e)
{
	return tdo_knob(e, TDO_KNOB_ENABLED, TDO_AF_INET) == 2 || tdo_spd_count(e) > 0;
}

int32_t
tdo_knob_get(const struct tdo_engine *e, enum tdo_knob k, uint8_t af)
{
	return k == TDO_KNOB_USED ? is_in_use(e) : tdo_knob(e, k, af);
}

static const char *
name_of(enum tdo_knob k, uint8_t af)
{
	const struct tdo_knob_info *info = tdo_knob_info(k);

	return af == TDO_AF_INET6 && info->name6 ? info->name6 : info->name4;
}

/* ---- what is refused ---------------------------------------------------------------- */

static int
check_range(
    struct tdo_engine *e, const struct tdo_knob_info *info, int32_t v, struct tdo_err *ret_err)
{
	if (info->read_only)
		return tdo_refuse(e, ret_err, -EPERM, "it cannot be set");
	if (v >= info->min && v <= info->max)
		return 0;
	if (info->why)
		return tdo_refuse(
		    e, ret_err, -EINVAL, "it is always %d: %s", (int)info->def, info->why);
	return tdo_refuse(e, ret_err, -EINVAL, "it takes %d to %d", (int)info->min, (int)info->max);
}

/* What is off has nothing that it would have to enforce. */
static int
check_off(struct tdo_engine *e, enum tdo_knob k, int32_t v, struct tdo_err *ret_err)
{
	if (k == TDO_KNOB_DEF_POLICY && v == 0 && tdo_knob(e, TDO_KNOB_ENABLED, TDO_AF_INET) == 0)
		return tdo_refuse(e, ret_err, -EBUSY, "IPsec is off: %s is 0",
		    tdo_knob_info(TDO_KNOB_ENABLED)->name4);
	if (k != TDO_KNOB_ENABLED || v != 0)
		return 0;
	if (tdo_spd_count(e) > 0)
		return tdo_refuse(e, ret_err, -EBUSY,
		    "IPsec is in use: there are %u policies; delete them first (setkey -FP)",
		    tdo_spd_count(e));
	for (unsigned i = 0; i < 2; i++) {
		uint8_t af = i == 0 ? TDO_AF_INET : TDO_AF_INET6;

		if (tdo_knob(e, TDO_KNOB_DEF_POLICY, af) == 0)
			return tdo_refuse(e, ret_err, -EBUSY, "IPsec is in use: %s is 0",
			    name_of(TDO_KNOB_DEF_POLICY, af));
	}
	return 0;
}

int
tdo_check_enabled(struct tdo_engine *e, struct tdo_err *ret_err)
{
	if (tdo_knob(e, TDO_KNOB_ENABLED, TDO_AF_INET) != 0)
		return 0;
	/* For clients to whom PF_KEY carries no text the log has it, once. */
	if (!e->off_told)
		tdo_engine_log(e, TDO_LOG_WARN,
		    "policies are refused: IPsec is switched off (%s is 0)",
		    tdo_knob_info(TDO_KNOB_ENABLED)->name4);
	e->off_told = true;
	return tdo_refuse(e, ret_err, -EOPNOTSUPP, "IPsec is switched off: %s is 0",
	    tdo_knob_info(TDO_KNOB_ENABLED)->name4);
}

/* ---- changing ----------------------------------------------------------------------- */

static void
store(struct tdo_engine *e, enum tdo_knob k, uint8_t af, int32_t v)
{
	bool both = tdo_knob_info(k)->name6 == NULL;

	if (both || af != TDO_AF_INET6)
		atomic_store_explicit(&e->knob[k][0], v, memory_order_relaxed);
	if (both || af == TDO_AF_INET6)
		atomic_store_explicit(&e->knob[k][1], v, memory_order_relaxed);
	tdo_engine_changed(e);
	if (k == TDO_KNOB_LARVAL_LIFETIME)
		tdo_sad_larval_changed(e);
	if (k == TDO_KNOB_NATT_KEEPALIVE)
		tdo_keepalive_changed(e);
	if (k == TDO_KNOB_TEST_REPLAY || k == TDO_KNOB_TEST_INTEGRITY)
		tdo_fault_changed(e, k);
	if (k == TDO_KNOB_ENABLED)
		e->off_told = false;
	if (k == TDO_KNOB_DEBUG)
		tdo_debug_changed(e);
}

/* More must be diverted before it is judged, less only afterwards. */
static int
change_default(struct tdo_engine *e, uint8_t af, int32_t v)
{
	const struct tdo_cover_ops *c = &e->cfg.cover;
	int r = 0;

	if (v == 0 && c->set_default)
		r = c->set_default(c->ctx, af, true);
	if (r)
		return r;
	store(e, TDO_KNOB_DEF_POLICY, af, v);
	return v != 0 && c->set_default ? c->set_default(c->ctx, af, false) : 0;
}

int
tdo_knob_change(
    struct tdo_engine *e, enum tdo_knob k, uint8_t af, int32_t v, struct tdo_err *ret_err)
{
	int r = check_range(e, tdo_knob_info(k), v, ret_err);

	if (r == 0 && v == tdo_knob(e, k, af))
		return 0;
	if (r == 0)
		r = check_off(e, k, v, ret_err);
	if (r)
		return r;
	if (k == TDO_KNOB_DEF_POLICY) {
		r = change_default(e, af, v);
		return r ? tdo_refuse(e, ret_err, r, "the host cannot be told") : 0;
	}
	store(e, k, af, v);
	return 0;
}
