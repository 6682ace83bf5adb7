/* SPDX-License-Identifier: BSD-2-Clause */
/* The hosts of many tests: A and B, each behind its gateway G and H when there are tunnels. */
#ifndef TDO_TESTS_HOSTS_H
#define TDO_TESTS_HOSTS_H

#define A  "10.0.0.1"
#define B  "10.0.0.2"
#define A6 "2001:db8::1"
#define B6 "2001:db8::2"
#define G  "192.0.2.1"
#define H  "192.0.2.2"
#define G6 "2001:db8:f::1"
#define H6 "2001:db8:f::2"

#endif
