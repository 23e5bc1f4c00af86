#pragma once

#include <netdb.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>

#include "protocol/base/error.hpp"

namespace outcrop::agent {

// The addresses of a host for TCP, at least one. not_found with the resolver's words; timeout where
// it does not answer, and a thread then waits on for it.
[[nodiscard]] Result<std::shared_ptr<addrinfo>> resolve(const std::string& host, std::uint16_t port,
                                                        std::chrono::milliseconds patience);

}  // namespace outcrop::agent
