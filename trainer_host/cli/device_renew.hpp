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
  int wait = 30;  // seconds, for boards to come by their new certificates
  bool json = false;
};

// outcrop device renew: certifies the next keys of boards that ask outcropd for it, hands the certificates to it, and revokes those
// whose places others have taken since. May be said again: a key has one certificate.
[[nodiscard]] Status run_device_renew(const DeviceRenewOptions& options);

}  // namespace outcrop::cli
