#include "protocol/base/version.hpp"

namespace outcrop {

std::string_view version() { return OUTCROP_VERSION; }

}  // namespace outcrop
