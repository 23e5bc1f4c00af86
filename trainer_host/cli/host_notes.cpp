#include "trainer_host/cli/host_notes.hpp"

namespace outcrop::cli {

std::string host_notes(const Json& about) {
  const auto attention = about.find("attention");  // an earlier outcropd has none
  if (attention == about.end() || attention->empty()) return "";
  std::string text = "\n";
  for (const Json& sentence : *attention) text += "outcropd: " + sentence.get<std::string>() + "\n";
  return text;
}

}  // namespace outcrop::cli
