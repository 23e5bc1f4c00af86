#include "protocol/base/version.hpp"

#include "outcrop_commit.hpp"

namespace outcrop {

std::string_view version() {
  return OUTCROP_VERSION;
}

std::string code_version() {
  return std::string(version()) + " (" OUTCROP_COMMIT ")";
}

}  // namespace outcrop
