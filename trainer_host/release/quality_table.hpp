#pragma once

#include <string>

#include "protocol/messages/quality.hpp"

namespace outcrop::release {

// For people: the model's scores above those of what learned nothing, and how far what it draws
// lies from the mean. The distances are from the truth, not from the float model.
[[nodiscard]] std::string quality_table(const messages::Quality& quality);

}  // namespace outcrop::release
