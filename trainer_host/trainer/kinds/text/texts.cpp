#include "trainer_host/trainer/kinds/text/texts.hpp"

#include <algorithm>
#include <cstdio>
#include <iterator>

#include "protocol/base/join.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

using Sources = std::vector<TextSource>;

Result<Sources> read_sources(const std::vector<fs::path>& paths, const TextColumns& columns) {
  Sources sources;
  for (const fs::path& path : paths) {
    OUTCROP_TRY(source, TextSource::read(path, columns));
    sources.push_back(std::move(source));
  }
  return sources;
}

template <class Choose>
LabelledTexts texts_of(const Sources& sources, const Choose& choose) {
  LabelledTexts all;
  for (const TextSource& source : sources) {
    const LabelledTexts& some = choose(source);
    all.insert(all.end(), some.begin(), some.end());
  }
  return all;
}

void say(std::size_t count, std::size_t all, const std::string& what) {
  if (count > 0) std::fprintf(stderr, "%zu of %zu %s\n", count, all, what.c_str());
}

Status check_classes(const SplitTexts& split, const std::vector<std::string>& known) {
  const auto trained = classes_of(split.training);
  if (trained.size() < 2 || trained.size() > most_classes) {
    return fail(ErrorCode::invalid_data, "the texts to train on are of " + std::to_string(trained.size()) +
                                             (trained.size() == 1 ? " class" : " classes") + "; 2 to " +
                                             std::to_string(most_classes) + " can be told apart");
  }
  const auto& classes = known.empty() ? trained : known;
  for (const LabelledTexts* texts : {&split.training, &split.held_out}) {
    for (const LabelledText& one : *texts) {
      if (std::binary_search(classes.begin(), classes.end(), one.label)) continue;
      return fail(ErrorCode::invalid_data, one.place + " is of the class '" + one.label + "', which " +
                                               (known.empty() ? "no text to train on has" : "the weights do not know") +
                                               "; there are " + join(classes));
    }
  }
  return {};
}

void leave_out(LabelledTexts& training, const std::vector<bool>& shared) {
  LabelledTexts kept;
  for (std::size_t i = 0; i < training.size(); ++i) {
    if (!shared[i]) kept.push_back(std::move(training[i]));
  }
  training = std::move(kept);
}

Status keep_apart(const kinds::DataPlaces& places, SplitTexts& split) {
  const auto found = found_in(split.held_out, split.training);
  const auto shared = static_cast<std::size_t>(std::count(found.begin(), found.end(), true));
  if (places.only_scored) split.summary.shared = shared;
  if (shared == 0 || places.only_scored) return {};
  if (!places.validation.empty()) {
    const auto first = static_cast<std::size_t>(std::find(found.begin(), found.end(), true) - found.begin());
    return fail(ErrorCode::invalid_argument,
                "data.validation: " + std::to_string(shared) + " of its " + std::to_string(found.size()) +
                    " texts are among those of data.train (" + split.held_out[first].place +
                    "), and a score on what was trained on says nothing; name texts that training does not see, or keep "
                    "some of data.train apart by held_out");
  }
  say(shared, split.training.size(), "texts to train on are left out: the data set tests with them as well");
  leave_out(split.training, found_in(split.training, split.held_out));
  return {};
}

}  // namespace

Result<SplitTexts> open_texts(const kinds::DataPlaces& places, const TextColumns& columns,
                              const std::vector<std::string>& known) {
  if (places.train.empty()) {
    return fail(ErrorCode::invalid_argument,
                "what a model of texts is compared with comes from the training data: name them, too (--train)");
  }
  OUTCROP_TRY(train, read_sources(places.train, columns));
  OUTCROP_TRY(validation, read_sources(places.validation, columns));
  const auto to_train_on = [](const TextSource& source) -> const LabelledTexts& { return source.training(); };
  const auto own_test = [](const TextSource& source) -> const LabelledTexts& { return source.test(); };
  const auto to_judge_by = [](const TextSource& source) -> const LabelledTexts& {
    return source.test().empty() ? source.training() : source.test();
  };
  SplitTexts split;
  split.training = texts_of(train, to_train_on);
  OUTCROP_TRY(twice, mix(split.training));
  say(twice, twice + split.training.size(), "texts to train on stand there twice; each is taken once");
  split.summary.digest = digest_of(split.training);
  const auto held_out = static_cast<std::size_t>(places.held_out);
  if (split.training.size() < held_out + 2) {
    return fail(ErrorCode::invalid_argument, "data.train holds " + std::to_string(split.training.size()) +
                                                 " different texts, of which " + std::to_string(held_out) +
                                                 " are held out: at least 2 must be left for training");
  }
  if (held_out > 0) {
    const auto first = split.training.end() - static_cast<std::ptrdiff_t>(held_out);
    split.held_out.assign(std::make_move_iterator(first), std::make_move_iterator(split.training.end()));
    split.training.erase(first, split.training.end());
  } else {
    split.held_out = places.validation.empty() ? texts_of(train, own_test) : texts_of(validation, to_judge_by);
    OUTCROP_TRY(twice_held_out, mix(split.held_out));
    say(twice_held_out, twice_held_out + split.held_out.size(), "held-out texts stand there twice; each is taken once");
    split.summary.held_out_digest = digest_of(split.held_out);
  }
  OUTCROP_CHECK(keep_apart(places, split));
  OUTCROP_CHECK(check_classes(split, known));
  split.classes = known.empty() ? classes_of(split.training) : known;
  split.summary.training = split.training.size();
  split.summary.held_out = split.held_out.size();
  return split;
}

}  // namespace outcrop::text
