#pragma once

#include <string>
#include <string_view>

namespace outcrop {

// The text as one word of a shell's command line, quoted where it has to be: commands that we print can be pasted.
[[nodiscard]] std::string shell_word(std::string_view text);

}  // namespace outcrop
