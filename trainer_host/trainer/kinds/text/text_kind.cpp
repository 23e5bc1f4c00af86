#include "trainer_host/trainer/kinds/text/text_kind.hpp"

#include <sstream>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/join.hpp"
#include "protocol/trust/digest.hpp"
#include "trainer_host/trainer/kinds/text/exporting.hpp"
#include "trainer_host/trainer/kinds/text/learned_vocabulary.hpp"
#include "trainer_host/trainer/kinds/text/text_task.hpp"

namespace outcrop::text {
namespace {

constexpr std::int64_t most_layers = 24;
constexpr std::int64_t largest_width = 1024;
constexpr std::int64_t largest_hidden = 4096;
constexpr std::int64_t longest = 512;  // pieces
constexpr std::int64_t fewest_pieces = 32;
constexpr std::int64_t most_pieces = 50'000;
constexpr std::size_t most_ignored = 64;

constexpr const char* help_text = R"(kind = "text": which of some classes a text is of
  [model]
  layers = 2                # of an encoder as BERT's
  width = 128               # values of each piece
  heads = 4                 # of attention; they share the width
  hidden = 512              # values between the two linear layers of each layer
  length = 128              # pieces of a text that are looked at; what is behind them is cut off
  pooling = "mean"          # what the classes are told by: the mean of all pieces, or "first"
  pieces = 8000             # so many are learned from the texts to train on; or
  #vocabulary = "vocab.txt" # those of such a file, as BERT's: a piece a line, [PAD], [UNK], [CLS], [SEP] among them
  cased = false             # true: letters as they are written; else small, without accents
  [data]
  train = "texts"           # a folder, or ["a", "b.tsv"]: a folder with a folder for each class, full of .txt files;
                            # one with such folders "train" and "test" (aclImdb); or a .tsv or .csv file
                            # With neither held_out nor validation, what is there to test with is held out.
                            # held_out takes so many at random, the same each time.
  text_column = "text"      # headings of these files
  label_column = "label"
  #ignore = ["unsup"]       # folders that are no class
  [train]
  hidden_words = 0.1        # 0 to 0.9: share of the pieces of each text that training does not show)";

class TextKind final : public kinds::Kind {
 public:
  [[nodiscard]] std::string_view name() const override { return "text"; }
  [[nodiscard]] std::string_view help() const override { return help_text; }

  [[nodiscard]] std::unique_ptr<kinds::Recipe> read(kinds::ConfigTables tables) const override {
    auto recipe = std::make_unique<TextRecipe>();
    auto& [model, data, train] = tables;
    EncoderShape& encoder = recipe->encoder;
    encoder.layers = model.integer("layers", encoder.layers, 1, most_layers);
    encoder.width = model.integer("width", encoder.width, 1, largest_width);
    encoder.heads = model.integer("heads", encoder.heads, 1, largest_width);
    encoder.hidden = model.integer("hidden", encoder.hidden, 1, largest_hidden);
    encoder.length = model.integer("length", encoder.length, 2, longest);
    if (const Status fits = check_shape(encoder); !fits) model.refuse("heads", fits.error().message());
    const auto pooling = pooling_from(model.text("pooling", name_of(encoder.pooling)));
    if (!pooling) model.refuse("pooling", pooling.error().message());
    encoder.pooling = pooling.value_or(encoder.pooling);
    recipe->letters = model.boolean("cased", false) ? Letters::as_written : Letters::lowered;
    if (model.has("vocabulary") && model.has("pieces")) {
      model.refuse("pieces", "the vocabulary is in a file, and says how many it has; leave one of both out");
    }
    recipe->vocabulary = model.path("vocabulary", std::filesystem::path());
    recipe->pieces = model.integer("pieces", recipe->pieces, fewest_pieces, most_pieces);
    recipe->data = kinds::read_places(data);
    recipe->columns.text = data.text("text_column", recipe->columns.text);
    recipe->columns.label = data.text("label_column", recipe->columns.label);
    recipe->columns.ignored = data.texts("ignore", recipe->columns.ignored, most_ignored);
    recipe->hidden_words = train.number("hidden_words", recipe->hidden_words, 0.0, 0.9);
    return recipe;
  }

  [[nodiscard]] Result<std::unique_ptr<kinds::Recipe>> recipe(const std::string& shape) const override {
    OUTCROP_TRY(known, shape_from_json(shape));
    auto recipe = std::make_unique<TextRecipe>();
    recipe->encoder = known.encoder;
    recipe->letters = known.letters;
    recipe->known = std::move(known);
    return std::unique_ptr<kinds::Recipe>(std::move(recipe));
  }
};

std::vector<std::string_view> texts_in(const LabelledTexts& texts) {
  std::vector<std::string_view> views;
  for (const LabelledText& one : texts) views.push_back(one.text);
  return views;
}

}  // namespace

std::unique_ptr<const kinds::Kind> make_kind() {
  return std::make_unique<TextKind>();
}

std::string TextRecipe::fingerprint() const {
  std::ostringstream text;
  text.precision(17);
  text << std::boolalpha << "model.layers = " << encoder.layers << "\nmodel.width = " << encoder.width
       << "\nmodel.heads = " << encoder.heads << "\nmodel.hidden = " << encoder.hidden
       << "\nmodel.length = " << encoder.length << "\nmodel.pooling = " << name_of(encoder.pooling)
       << "\nmodel.cased = " << (letters == Letters::as_written);
  if (vocabulary.empty()) {
    text << "\nmodel.pieces = " << pieces;
  } else {
    // A file that cannot be read is refused when the recipe is opened.
    const auto file = read_text_file(vocabulary, longest_vocabulary);
    text << "\nmodel.vocabulary = " << (file ? trust::sha256(*file).hex() : "");
  }
  text << "\ndata.text_column = " << columns.text << "\ndata.label_column = " << columns.label
       << "\ndata.ignore = " << join(columns.ignored) << "\ntrain.hidden_words = " << hidden_words << "\n";
  return text.str();
}

std::vector<std::filesystem::path> TextRecipe::brought() const {
  if (vocabulary.empty()) return {};
  return {vocabulary};
}

Result<Vocabulary> TextRecipe::open_vocabulary(const LabelledTexts& training) const {
  if (known) return Vocabulary::parse(to_text(known->pieces));
  if (vocabulary.empty()) return learn_vocabulary(texts_in(training), letters, static_cast<std::size_t>(pieces));
  OUTCROP_TRY(text, read_text_file(vocabulary, longest_vocabulary));
  auto parsed = Vocabulary::parse(text);
  if (!parsed) return fail(parsed.error().context(vocabulary.string()));
  return parsed;
}

Result<std::unique_ptr<kinds::Task>> TextRecipe::open(std::uint64_t seed) const {
  OUTCROP_TRY(texts, open_texts(data, columns, known ? known->classes : std::vector<std::string>()));
  OUTCROP_TRY(words, open_vocabulary(texts.training));
  TextShape shape{encoder, letters, words.pieces(), texts.classes};
  OUTCROP_CHECK(check_travels(shape));
  return std::unique_ptr<kinds::Task>(
      std::make_unique<TextTask>(*this, std::move(shape), std::move(texts), Tokenizer(std::move(words), letters), seed));
}

}  // namespace outcrop::text
