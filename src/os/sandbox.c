/* SPDX-License-Identifier: BSD-2-Clause */
/* The cage of the data process. */
#include "os/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __has_feature /* clang */
#if __has_feature(address_sanitizer)
#define TDO_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__) /* gcc */
#define TDO_ASAN 1
#endif

/* A namespace of one user answers EINVAL (no such id) or EPERM (setgroups is switched off). */
static bool
not_mapped(int err)
{
	return err == EINVAL || err == EPERM;
}

static int
change_user(uint32_t uid, uint32_t gid, bool *ret_done)
{
	if (geteuid() != 0 || uid == 0)
		return 0;
	if (setgroups(0, NULL) != 0 && !not_mapped(errno))
		return -errno;
	if (setresgid(gid, gid, gid) != 0)
		return not_mapped(errno) ? 0 : -errno;
	if (setresuid(uid, uid, uid) != 0)
		return not_mapped(errno) ? 0 : -errno;
	*ret_done = true;
	return 0;
}

static int
drop_bounding_set(void)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0 && errno != EPERM)
			return -errno;
	return 0;
}

static int
drop_capabilities(void)
{
	struct __user_cap_header_struct hdr = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3];

	memset(none, 0, sizeof(none));
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &hdr, none) != 0)
		return -errno;
	return 0;
}

/* Landlock with no rule: every kind of access that this kernel knows is denied. */
static bool
deny_files(void)
{
	/* Rights by ABI version; a kernel refuses a bit that it does not know. */
	static const uint64_t fs_rights[] = {0, 0x1fff, 0x3fff, 0x7fff, 0x7fff, 0xffff};
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	struct landlock_ruleset_attr attr;
	bool done;
	long fd;

	if (abi < 1)
		return false;
	memset(&attr, 0, sizeof(attr));
	attr.handled_access_fs = fs_rights[abi > 5 ? 5 : abi];
	fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (fd < 0)
		return false;
	done = syscall(SYS_landlock_restrict_self, (int)fd, 0) == 0;
	(void)close((int)fd);
	return done;
}

int
tdo_sandbox_drop(uint32_t uid, uint32_t gid, struct tdo_sandbox *ret)
{
	static const struct rlimit no_core = {0, 0};
	struct tdo_sandbox sb = {0};
	int rc;

	/* The bounding set can be emptied only while CAP_SETPCAP is there. */
	if ((rc = drop_bounding_set()) != 0)
		return rc;
	if ((rc = change_user(uid, gid, &sb.user)) != 0)
		return rc;
	if ((rc = drop_capabilities()) != 0)
		return rc;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 || setrlimit(RLIMIT_CORE, &no_core) != 0)
		return -errno;
	sb.landlock = deny_files();
	*ret = sb;
	return 0;
}

/* Grouped by who needs them. */
static const int allowed[] = {
    /* packets */
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(recvmmsg),
    SCMP_SYS(sendmmsg), SCMP_SYS(poll), SCMP_SYS(ppoll),
    /* path MTU: connect() of the sockets that are there */
    SCMP_SYS(connect), SCMP_SYS(getsockopt),
    /* servers */
    SCMP_SYS(accept4), SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto),
    SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_ctl), SCMP_SYS(close),
    SCMP_SYS(shutdown),
    /* memory */
    SCMP_SYS(brk), SCMP_SYS(mmap), SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise),
    SCMP_SYS(mprotect),
    /* threads, signals, time, end */
    SCMP_SYS(futex), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(gettid),
    SCMP_SYS(getpid), SCMP_SYS(tgkill), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigprocmask),
    SCMP_SYS(rt_sigaction), SCMP_SYS(restart_syscall), SCMP_SYS(rseq), SCMP_SYS(set_robust_list),
    SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(getrandom), SCMP_SYS(exit), SCMP_SYS(exit_group)};

/* What malloc, OpenSSL and others try in passing. */
static const int refused[] = {SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(stat),
    SCMP_SYS(newfstatat), SCMP_SYS(access), SCMP_SYS(readlink), SCMP_SYS(sysinfo)};

static int
add_rules(scmp_filter_ctx ctx)
{
	int rc;

	for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++)
		if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, allowed[i], 0)) != 0)
			return rc;
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if ((rc = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), refused[i], 0)) != 0)
			return rc;
	/* fstat() of an open descriptor is newfstatat() with an empty path: refused too. */
	return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(fstat), 0);
}

int
tdo_sandbox_seal(struct tdo_sandbox *sb)
{
	scmp_filter_ctx ctx;
	int rc;

#ifdef TDO_ASAN
	/* The leak checker stops threads and reads /proc at the end. */
	return 0;
#endif
	ctx = seccomp_init(SCMP_ACT_KILL_PROCESS);
	if (ctx == NULL)
		return -ENOMEM;
	rc = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_TSYNC, 1);
	if (rc == 0)
		rc = add_rules(ctx);
	if (rc == 0)
		rc = seccomp_load(ctx);
	seccomp_release(ctx);
	/* A kernel without seccomp filters: everything else still holds. */
	if (rc == -EINVAL || rc == -EOPNOTSUPP || rc == -ECANCELED)
		return 0;
	sb->seccomp = rc == 0;
	return rc;
}
