#pragma once

#include "protocol/base/bytes.hpp"

namespace outcrop::agent {

// What a call may answer on a machine of so much memory: an eighth of it, but 48 MiB at least, and no more than the 256 MiB that a
// runner can say in one frame. Bodies and answers of a server of the agent are together little more at any time.
[[nodiscard]] ByteCount largest_answer(ByteCount memory);
[[nodiscard]] ByteCount largest_answer();  // on this one

}  // namespace outcrop::agent
