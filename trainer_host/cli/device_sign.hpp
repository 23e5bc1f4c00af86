#pragma once

#include <filesystem>
#include <string>

#include "protocol/base/error.hpp"
#include "trainer_host/cli/host_connection.hpp"

namespace outcrop::cli {

// `outcrop device sign`: from a board's request to its enrolment.
struct SignOptions {
  std::string request;  // file, or "-"
  std::string out;      // file, or "-"
  std::filesystem::path authority;
  std::filesystem::path host;
  bool json = false;
};

// May be killed at any point and run again with the same request: the same certificate is given
// again, and outcropd takes what it knows already.
[[nodiscard]] Status run_sign(const SignOptions& options);

}  // namespace outcrop::cli
