#include "trainer_host/trainer/kinds/text/encoded_texts.hpp"

#include <algorithm>

#include "trainer_host/trainer/data/counter_random.hpp"

namespace outcrop::text {
namespace {

std::uint64_t seed_of(std::span<const kinds::Draw> draws) {
  std::uint64_t seed = draws.size();
  for (const kinds::Draw& draw : draws) seed = seed * 1'000'003 + draw.sample;
  return seed;
}

void hide(std::span<std::int64_t> ids, double share, const Vocabulary& vocabulary, data::CounterRandom random) {
  for (std::int64_t& id : ids) {
    const bool special = id == vocabulary.begins() || id == vocabulary.ends() || id == vocabulary.padding();
    if (!special && random.uniform(0.0, 1.0) < share) id = vocabulary.unknown();
  }
}

}  // namespace

EncodedTexts encode(const LabelledTexts& texts, const Tokenizer& tokenizer, std::int64_t length,
                    const std::vector<std::string>& classes) {
  const auto count = static_cast<std::int64_t>(texts.size());
  EncodedTexts encoded{torch::empty({count, length}, torch::kLong), torch::empty({count}, torch::kLong)};
  auto* ids = encoded.ids.data_ptr<std::int64_t>();
  auto* labels = encoded.labels.data_ptr<std::int64_t>();
  for (const LabelledText& one : texts) {
    const auto pieces = tokenizer.padded(one.text, static_cast<std::size_t>(length));
    ids = std::copy(pieces.begin(), pieces.end(), ids);
    *labels++ = std::lower_bound(classes.begin(), classes.end(), one.label) - classes.begin();
  }
  return encoded;
}

EncodedTexts chosen(const EncodedTexts& texts, std::span<const kinds::Draw> draws, double hidden_words,
                    const Vocabulary& vocabulary) {
  std::vector<std::int64_t> rows;
  for (const kinds::Draw& draw : draws) rows.push_back(static_cast<std::int64_t>(draw.sample));
  const auto index = torch::tensor(rows, torch::kLong);
  EncodedTexts some{texts.ids.index_select(0, index), texts.labels.index_select(0, index)};
  if (hidden_words <= 0.0) return some;
  const auto length = static_cast<std::size_t>(some.ids.size(1));
  auto* ids = some.ids.data_ptr<std::int64_t>();
  const std::uint64_t seed = seed_of(draws);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    hide(std::span(ids + i * length, length), hidden_words, vocabulary, data::CounterRandom(seed, i));
  }
  return some;
}

}  // namespace outcrop::text
