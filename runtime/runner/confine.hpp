#pragma once

#include <string>
#include <vector>

#include "protocol/base/bytes.hpp"
#include "runtime/runner/attempt.hpp"

namespace outcrop::runtime {

// What the runner gives up for good before it reads a byte that others wrote. Call once, from
// the only thread. Linux only.
//
// - no new privileges, not dumpable
// - no files: Landlock without any rule, else an empty mount namespace
// - system calls by allow-list (seccomp); others fail with EPERM. Left are: memory without
//   shared mappings, threads of its own, time, its open descriptors, its own end
// - private memory: what the process has now plus `memory_limit` (RLIMIT_DATA)
// - address space: the same and what thread stacks and the C library's arenas reserve (RLIMIT_AS): a mapping that is only
//   read counts as no memory, and its page tables are a 512th of it
// - no file growth, no core file, few descriptors, CPU time (the parent moves that limit)
//
// Afterwards it tries what it must not be able to do, and returns what keeps the result from
// "full confinement", in words; empty when everything was refused.
[[nodiscard]] std::vector<std::string> confine_this_process(ByteCount memory_limit);

// Tries everything that the confinement promises to refuse. `file` is a path that may be created
// and `port` a TCP port on loopback that listens, so that only the confinement can refuse.
// Harmless where it holds; where it does not, it leaves the file behind.
[[nodiscard]] std::vector<Attempt> try_to_escape(const std::string& file, int port);

}  // namespace outcrop::runtime
