#pragma once

#include <cstddef>
#include <string>

#include "protocol/messages/quality.hpp"

namespace outcrop::release {

// For people: the model's scores above those of what learned nothing, in `width` columns as
// Table::to_string takes them, and how far what it draws lies from the mean. The distances are from
// the truth, not from the float model.
[[nodiscard]] std::string quality_table(const messages::Quality& quality, std::size_t width = 0);

}  // namespace outcrop::release
