#pragma once

#include <map>
#include <string>

namespace outcrop::kinds {

// What a task is besides, where whoever calls its model wants to know more than a signature says: how a text becomes ids.
// It travels in the metadata of the golden inputs' file, by keys of SCHEMA.md.
class TellsWithGoldens {
 public:
  virtual ~TellsWithGoldens() = default;
  [[nodiscard]] virtual std::map<std::string, std::string> told_with_goldens() const = 0;
};

}  // namespace outcrop::kinds
