#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

struct DeviceRenewOptions {
  std::vector<std::string> names;  // none: all that ask
  std::filesystem::path authority;
  std::filesystem::path host;
  bool json = false;
};

// outcrop device renew: certifies the next keys of boards that ask outcropd for it, and hands the certificates to it. May be
// said again: a key has one certificate.
[[nodiscard]] Status run_device_renew(const DeviceRenewOptions& options);

}  // namespace outcrop::cli
