#include <sstream>

#include "protocol/base/join.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/text/exporting.hpp"
#include "trainer_host/trainer/kinds/text/learned_vocabulary.hpp"
#include "trainer_host/trainer/kinds/text/pretrained_config.hpp"
#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {
namespace fs = std::filesystem;
namespace {

std::vector<std::string_view> texts_in(const LabelledTexts& texts) {
  std::vector<std::string_view> views;
  for (const LabelledText& one : texts) views.push_back(one.text);
  return views;
}

const char* as_key(Letters letters) {
  return letters == Letters::as_written ? "true" : "false";
}

// A file that cannot be read is refused when the recipe is opened.
std::string digest_or_none(const fs::path& file) {
  const auto digest = trust::sha256_file(file);
  return digest ? digest->hex() : "";
}

// What begins with nothing says all sizes; what begins with weights, those that it does not take from there.
void say_encoder(const WantedEncoder& wanted, bool pretrained, std::ostream& text) {
  const EncoderShape shape = shape_of(wanted);
  const auto say = [&](const char* key, const std::optional<std::int64_t>& said, std::int64_t value) {
    if (said || !pretrained) text << "model." << key << " = " << value << "\n";
  };
  say("layers", wanted.layers, shape.layers);
  say("width", wanted.width, shape.width);
  say("heads", wanted.heads, shape.heads);
  say("hidden", wanted.hidden, shape.hidden);
  text << "model.length = " << shape.length << "\nmodel.pooling = " << name_of(shape.pooling) << "\n";
  if (wanted.activation) text << "model.activation = " << name_of(*wanted.activation) << "\n";
  if (wanted.epsilon) text << "model.epsilon = " << *wanted.epsilon << "\n";
}

}  // namespace

std::string TextRecipe::fingerprint() const {
  std::ostringstream text;
  text.precision(17);
  say_encoder(encoder, !weights.empty(), text);
  if (letters || weights.empty()) text << "model.cased = " << as_key(letters.value_or(Letters::lowered)) << "\n";
  if (!weights.empty()) {
    for (const fs::path& file : files_of_pretrained(weights)) text << "model.weights = " << digest_or_none(file) << "\n";
  }
  if (vocabulary_file().empty()) {
    text << "model.pieces = " << pieces;
  } else {
    text << "model.vocabulary = " << digest_or_none(vocabulary_file());
  }
  text << "\ndata.text_column = " << columns.text << "\ndata.label_column = " << columns.label
       << "\ndata.ignore = " << join(columns.ignored) << "\ntrain.hidden_words = " << hidden_words << "\n";
  if (frozen_layers > 0) text << "train.frozen_layers = " << frozen_layers << "\n";
  return text.str();
}

std::vector<fs::path> TextRecipe::brought() const {
  std::vector<fs::path> files;
  if (!weights.empty()) files = files_of_pretrained(weights);
  if (!vocabulary_file().empty()) files.push_back(vocabulary_file());
  return files;
}

fs::path TextRecipe::vocabulary_file() const {
  if (!vocabulary.empty() || weights.empty()) return vocabulary;
  return weights.parent_path() / pretrained_vocabulary_file;
}

Result<Vocabulary> TextRecipe::open_vocabulary(const LabelledTexts& training, Letters written) const {
  if (known) return Vocabulary::parse(to_text(known->pieces));
  if (vocabulary_file().empty()) return learn_vocabulary(texts_in(training), written, static_cast<std::size_t>(pieces));
  return Vocabulary::read(vocabulary_file());
}

Status TextRecipe::check_pretrained(const PretrainedEncoder& pretrained, const Vocabulary& words) const {
  if (static_cast<std::int64_t>(words.size()) != pretrained.pieces) {
    return fail(ErrorCode::invalid_data, vocabulary_file().string() + " has " + std::to_string(words.size()) +
                                             " pieces, and the embedding in " + weights.string() + " is of " +
                                             std::to_string(pretrained.pieces) + ": they are not of one model");
  }
  if (letters && pretrained.letters && *letters != *pretrained.letters) {
    return fail(ErrorCode::invalid_argument, std::string("model.cased is ") + as_key(*letters) + ", and " +
                                                 pretrained_tokenizer_file + " beside " + weights.string() +
                                                 " says otherwise by do_lower_case; leave it out");
  }
  return {};
}

Result<std::unique_ptr<kinds::Task>> TextRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(texts, open_texts(data, columns, known ? known->classes : std::vector<std::string>()));
  std::optional<PretrainedEncoder> pretrained;
  if (!known && !weights.empty()) {
    OUTCROP_TRY(read, read_pretrained(weights, encoder));
    pretrained = std::move(read);
  }
  const std::optional<Letters> beside = pretrained ? pretrained->letters : std::nullopt;
  const Letters written = known ? known->letters : letters.value_or(beside.value_or(Letters::lowered));
  OUTCROP_TRY(words, open_vocabulary(texts.training, written));
  if (pretrained) OUTCROP_CHECK(check_pretrained(*pretrained, words));
  TextShape shape{known        ? known->encoder
                  : pretrained ? pretrained->shape
                               : shape_of(encoder),
                  written, words.pieces(), texts.classes};
  OUTCROP_CHECK(check_travels(shape));
  if (frozen_layers > shape.encoder.layers) {
    return fail(ErrorCode::invalid_argument, "train.frozen_layers is " + std::to_string(frozen_layers) + ", and the encoder has " +
                                                 std::to_string(shape.encoder.layers) + " layers");
  }
  auto task = std::make_unique<TextTask>(*this, std::move(shape), std::move(texts), Tokenizer(std::move(words), written), seed);
  if (pretrained) OUTCROP_CHECK(begin_with(pretrained->tensors, task->parts().front().network));
  return std::unique_ptr<kinds::Task>(std::move(task));
}

}  // namespace outcrop::text
