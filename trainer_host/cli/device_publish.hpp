#pragma once

#include <filesystem>

#include "protocol/base/error.hpp"

namespace outcrop::cli {

struct DevicePublishOptions {
  std::filesystem::path authority;
  std::filesystem::path host;
  bool json = false;
};

// outcrop device publish: outcropd gets the authority's newest list of revoked certificates, and
// revokes what it names.
[[nodiscard]] Status run_device_publish(const DevicePublishOptions& options);

}  // namespace outcrop::cli
