#include "trainer_host/trainer/kinds/text/learned_vocabulary.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <queue>
#include <set>
#include <unordered_map>
#include <utility>

namespace outcrop::text {
namespace {

constexpr std::array<const char*, 5> special{"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
constexpr std::int64_t least_times = 2;
constexpr std::size_t longest_word = 100;  // characters: what is longer is [UNK] anyway

using Pair = std::pair<std::int32_t, std::int32_t>;  // of pieces

std::vector<std::string> characters_of(const std::string& word) {
  std::vector<std::string> characters;
  for (const char byte : word) {
    if ((static_cast<unsigned char>(byte) & 0xC0U) != 0x80U) characters.emplace_back();
    characters.back() += byte;
  }
  return characters;
}

std::string inside(const std::string& character) {
  return "##" + character;
}

// Different words, cut into pieces that become longer.
class Cutting {
 public:
  Cutting(const std::map<std::string, std::int64_t>& words, std::size_t most_characters) {
    for (const char* piece : special) (void)id_of(piece);
    for (const std::string& character : alphabet_of(words, most_characters)) (void)id_of(character);
    for (const auto& [word, times] : words) add(word, times);
    for (std::size_t word = 0; word < words_.size(); ++word) count(word, 1);
    for (const auto& [pair, times] : times_) waiting_.push({times, pair});
  }

  // The pair that is there most often becomes one piece; of several the one whose pieces are older. False where none is
  // there often enough.
  bool join_most_frequent() {
    while (!waiting_.empty()) {
      const Waiting top = waiting_.top();
      waiting_.pop();
      const auto now = times_.find(top.pair);
      if (now == times_.end() || now->second != top.times) continue;  // changed since, and waits with what it is now
      if (top.times < least_times) return false;
      join(top.pair);
      return true;
    }
    return false;
  }

  [[nodiscard]] const std::vector<std::string>& pieces() const { return pieces_; }

 private:
  struct Word {
    std::vector<std::int32_t> pieces;
    std::int64_t times = 0;
  };
  struct Waiting {
    std::int64_t times = 0;
    Pair pair;
    bool operator<(const Waiting& other) const {
      return times != other.times ? times < other.times : other.pair < pair;
    }
  };

  // The most frequent ones, as they begin words and as they stand inside, in the order of their text.
  static std::set<std::string> alphabet_of(const std::map<std::string, std::int64_t>& words, std::size_t most) {
    std::map<std::string, std::int64_t> times;
    for (const auto& [word, count] : words) {
      bool first = true;
      for (const std::string& character : characters_of(word)) {
        times[first ? character : inside(character)] += count;
        first = false;
      }
    }
    std::vector<std::pair<std::int64_t, std::string>> order;
    for (const auto& [character, count] : times) order.emplace_back(-count, character);
    std::sort(order.begin(), order.end());
    order.resize(std::min(order.size(), most));
    std::set<std::string> alphabet;
    for (const auto& [count, character] : order) alphabet.insert(character);
    return alphabet;
  }

  std::int32_t id_of(const std::string& piece) {
    const auto [found, fresh] = ids_.emplace(piece, static_cast<std::int32_t>(pieces_.size()));
    if (fresh) pieces_.push_back(piece);
    return found->second;
  }

  // A word with a character that is no piece is [UNK] whatever else it has.
  void add(const std::string& word, std::int64_t times) {
    const auto characters = characters_of(word);
    if (characters.size() > longest_word) return;
    Word cut{{}, times};
    for (const std::string& character : characters) {
      const auto found = ids_.find(cut.pieces.empty() ? character : inside(character));
      if (found == ids_.end()) return;
      cut.pieces.push_back(found->second);
    }
    words_.push_back(std::move(cut));
  }

  void count(std::size_t word, std::int64_t sign) {
    const auto& pieces = words_[word].pieces;
    for (std::size_t i = 1; i < pieces.size(); ++i) {
      const Pair pair{pieces[i - 1], pieces[i]};
      times_[pair] += sign * words_[word].times;
      if (sign > 0) places_[pair].insert(word);
      changed_.insert(pair);
    }
  }

  void join(const Pair& pair) {
    const std::string& second = pieces_[static_cast<std::size_t>(pair.second)];
    const std::int32_t joined = id_of(pieces_[static_cast<std::size_t>(pair.first)] + second.substr(2));
    changed_.clear();
    for (const std::size_t word : places_[pair]) {
      count(word, -1);
      auto& pieces = words_[word].pieces;
      std::vector<std::int32_t> fewer;
      for (std::size_t i = 0; i < pieces.size(); ++i) {
        const bool here = i + 1 < pieces.size() && Pair(pieces[i], pieces[i + 1]) == pair;
        fewer.push_back(here ? joined : pieces[i]);
        if (here) ++i;
      }
      pieces = std::move(fewer);
      count(word, 1);
    }
    places_.erase(pair);
    times_.erase(pair);
    for (const Pair& one : changed_) {
      const auto now = times_.find(one);
      if (now != times_.end()) waiting_.push({now->second, one});
    }
  }

  std::vector<std::string> pieces_;
  std::unordered_map<std::string, std::int32_t> ids_;
  std::vector<Word> words_;
  std::map<Pair, std::int64_t> times_;
  std::map<Pair, std::set<std::size_t>> places_;  // words that have, or had, the pair
  std::set<Pair> changed_;
  std::priority_queue<Waiting> waiting_;
};

}  // namespace

Result<Vocabulary> learn_vocabulary(std::span<const std::string_view> texts, Letters letters, std::size_t size) {
  std::map<std::string, std::int64_t> words;
  for (const std::string_view text : texts) {
    for (std::string& word : words_of(text, letters)) ++words[std::move(word)];
  }
  Cutting cutting(words, size / 2);
  while (cutting.pieces().size() < size && cutting.join_most_frequent()) {
  }
  return Vocabulary::parse(to_text(cutting.pieces()));
}

}  // namespace outcrop::text
