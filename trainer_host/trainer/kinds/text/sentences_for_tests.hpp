#pragma once

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::text {

// A made-up sentence about one of three things, with words between that say nothing.
inline std::string sentence_about(std::size_t thing, std::uint64_t seed, std::uint64_t number) {
  static const std::array<std::array<const char*, 6>, 3> words{{{"soup", "bread", "cheese", "onions", "kettle", "salt"},
                                                                {"goal", "referee", "whistle", "team", "league", "fans"},
                                                                {"clouds", "thunder", "rain", "frost", "wind", "sunshine"}}};
  static const std::array<const char*, 8> fillers{"the", "and", "was", "there", "again", "with", "much", "seen"};
  data::CounterRandom random(seed, number * words.size() + thing);
  std::string text;
  for (int i = 0; i < 12; ++i) {
    text += i == 0 ? "" : " ";
    text += random.below(3) == 0 ? words.at(thing).at(random.below(6)) : fillers.at(random.below(fillers.size()));
  }
  return text + ", " + words.at(thing).at(random.below(6)) + ".";
}

inline constexpr std::array<const char*, 3> things{"food", "sport", "weather"};

// A folder for each class in `folder`, with so many texts.
inline void write_sentences(const std::filesystem::path& folder, std::size_t of_each, std::uint64_t seed) {
  for (std::size_t thing = 0; thing < things.size(); ++thing) {
    std::filesystem::create_directories(folder / things.at(thing));
    for (std::size_t i = 0; i < of_each; ++i) {
      std::ofstream(folder / things.at(thing) / (std::to_string(i) + ".txt")) << sentence_about(thing, seed, i) << "\n";
    }
  }
}

}  // namespace outcrop::text
