#include "trainer_host/trainer/evaluate/draw_verb.hpp"

#include <cctype>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>

#include "trainer_host/trainer/evaluate/sample_picture.hpp"

namespace outcrop::evaluate {
namespace {

struct Arguments {
  std::filesystem::path samples;
  std::filesystem::path png;
  std::string title;
  std::size_t most = 4;
};

Status check_png(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (ending == ".png") return {};
  return fail(ErrorCode::invalid_argument,
              "--out " + path.string() + ": pictures are PNG; call it " +
                  std::filesystem::path(path).replace_extension(".png").string());
}

Status run_draw(const Arguments& arguments) {
  OUTCROP_CHECK(check_png(arguments.png));
  OUTCROP_TRY(samples, read_samples(arguments.samples, arguments.most));
  const std::string title =
      arguments.title.empty() ? arguments.samples.filename().string() : arguments.title;
  OUTCROP_CHECK(draw_samples(samples, title, "velocity maps above, the middle shot's gather below",
                             arguments.png));
  std::printf("%s: %zu sample%s\n", arguments.png.c_str(), samples.size(),
              samples.size() == 1 ? "" : "s");
  return {};
}

}  // namespace

void add_draw(CLI::App& app, cli::Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  CLI::App* draw =
      app.add_subcommand("draw", "Draw samples that a board generated (outcrop-agent infer)");
  draw->add_option("samples", arguments->samples, ".safetensors file with velocity and seismic")
      ->required();
  draw->add_option("--out", arguments->png, "PNG to write: NAME.png")->required();
  draw->add_option("--title", arguments->title, "Heading; default: the file's name");
  draw->add_option("--count", arguments->most, "How many samples to show")
      ->check(CLI::Range(1, 6))
      ->capture_default_str();
  draw->footer(
      "Example:\n  outcrop-agent infer --seed 7 --count 4 --out made.safetensors\n"
      "  outcrop draw made.safetensors --out made.png");
  draw->callback([arguments, &chosen] { chosen = [arguments] { return run_draw(*arguments); }; });
}

}  // namespace outcrop::evaluate
