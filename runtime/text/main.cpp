// outcrop-tokenize: cuts texts into the pieces of a vocabulary. A program of its own: libicu's tables are 30 MB, and an
// agent that serves has no room for them.

#include <cstdio>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/base/durable_file.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/program.hpp"
#include "protocol/base/version.hpp"
#include "runtime/text/tokenizer.hpp"

namespace outcrop::text {
namespace {

constexpr const char* usage =
    "outcrop-tokenize --vocabulary FILE [--cased] [--length N] [TEXT-FILE …]\n"
    "Prints the ids of the pieces that each text is cut into, a line for each file, or for what comes\n"
    "by standard input. The vocabulary is one as BERT's vocab.txt.\n"
    "  --cased      letters stay as they are written; otherwise they are made small, without accents\n"
    "  --length N   as a model takes it: [CLS] before, [SEP] behind, cut or filled up to N ids\n";

constexpr ByteCount longest_text = ByteCount::mib(16);
constexpr std::size_t longest_length = 4096;

struct Wanted {
  std::filesystem::path vocabulary;
  Letters letters = Letters::lowered;
  std::optional<std::size_t> length;
  std::vector<std::filesystem::path> files;
};

std::optional<Wanted> read_arguments(int argc, char** argv) {
  Wanted wanted;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const bool has_value = i + 1 < argc;
    if (argument == "--cased") {
      wanted.letters = Letters::as_written;
    } else if (argument == "--vocabulary" && has_value) {
      wanted.vocabulary = argv[++i];
    } else if (argument == "--length" && has_value) {
      wanted.length = read_number<std::size_t>(argv[++i]);
      if (!wanted.length || *wanted.length < 2 || *wanted.length > longest_length) return std::nullopt;
    } else if (argument.starts_with("--")) {
      return std::nullopt;
    } else {
      wanted.files.emplace_back(argument);
    }
  }
  return wanted.vocabulary.empty() ? std::nullopt : std::optional(std::move(wanted));
}

void print(const std::vector<std::int64_t>& ids) {
  std::string line;
  for (const std::int64_t id : ids) line += (line.empty() ? "" : " ") + std::to_string(id);
  std::printf("%s\n", line.c_str());
}

Status tokenize(const Wanted& wanted) {
  OUTCROP_TRY(vocabulary, Vocabulary::read(wanted.vocabulary));
  const Tokenizer tokenizer(std::move(vocabulary), wanted.letters);
  const auto cut = [&](std::string_view text) {
    print(wanted.length ? tokenizer.padded(text, *wanted.length) : tokenizer.ids_of(text));
  };
  if (wanted.files.empty()) {
    cut(std::string(std::istreambuf_iterator<char>(std::cin), {}));
  }
  for (const auto& file : wanted.files) {
    OUTCROP_TRY(text, read_text_file(file, longest_text));
    cut(text);
  }
  return {};
}

int start(int argc, char** argv) {
  if (argc == 2 && std::string_view(argv[1]) == "--version") {
    std::printf("outcrop-tokenize %s\n", code_version().c_str());
    return 0;
  }
  const auto wanted = read_arguments(argc, argv);
  if (!wanted) {
    const bool asked = argc == 2 && std::string_view(argv[1]) == "--help";
    std::fputs(usage, asked ? stdout : stderr);
    return asked ? 0 : 2;
  }
  const Status done = tokenize(*wanted);
  if (!done) std::fprintf(stderr, "outcrop-tokenize: %s\n", done.error().message().c_str());
  return done ? 0 : 1;
}

}  // namespace
}  // namespace outcrop::text

int main(int argc, char** argv) {
  return outcrop::run_main("outcrop-tokenize", [&] { return outcrop::text::start(argc, argv); });
}
