#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "protocol/base/error.hpp"
#include "trainer_host/trainer/weights/state_pickle.hpp"

namespace outcrop::weights {

// What a pickle may call, and state_pickle notes instead of calling it.
enum class Function { ordered_dict, rebuild_tensor, rebuild_parameter };

// Everything in Python that a state_dict names: a function, or a type of storages.
using Global = std::variant<Function, StorageType>;

// `module`.`name`; where it is none of those, invalid_data says what such a file is, and what to save.
[[nodiscard]] Result<Global> find_global(std::string_view module, std::string_view name);

// A text from a file as a message may show it: not too long, no control characters.
[[nodiscard]] std::string shown(std::string_view text);

}  // namespace outcrop::weights
