#include "trainer_host/trainer/data/synth_verb.hpp"

#include <cstdio>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include "platform/console/progress_bar.hpp"
#include "protocol/base/counted.hpp"
#include "protocol/base/json_text.hpp"
#include "protocol/base/number.hpp"
#include "protocol/base/processors.hpp"
#include "trainer_host/trainer/data/stop_signal.hpp"
#include "trainer_host/trainer/data/synth.hpp"

namespace outcrop::data {
namespace {

struct Arguments {
  SynthOptions options;
  std::string size = "70x70";
  std::vector<std::size_t> source_columns;
  double time_step_ms = 1.0;
  std::vector<double> bounds;
  std::string family;
  std::string model;
  bool json = false;
};

void print(const SynthReport& report, const Geometry& geometry, bool as_json) {
  if (as_json) {
    nlohmann::ordered_json json{{"folder", report.folder.string()},
                                {"samples", report.samples},
                                {"digest", report.digest},
                                {"seconds", report.seconds}};
    if (report.clamped_share) json["clamped_share"] = *report.clamped_share;
    std::printf("%s\n", json_text(json).c_str());
    return;
  }
  std::printf("%s: %s in %s, %.0f ms a sample\ndigest %s\n", report.folder.c_str(),
              counted(report.samples, "sample").c_str(),
              human_duration(std::chrono::duration<double>(report.seconds)).c_str(),
              1e3 * report.seconds / static_cast<double>(report.samples), report.digest.c_str());
  if (report.clamped_share) {
    std::printf("clamped to %.0f-%.0f m/s: %.2f %% of the cells\n", geometry.slowest,
                geometry.fastest, 100 * *report.clamped_share);
  }
}

// "64x96": rows by columns.
Status take_size(const std::string& text, Geometry& geometry) {
  const std::size_t between = text.find('x');
  const auto depth = read_number<std::size_t>(std::string_view(text).substr(0, between));
  const auto width = between == std::string::npos
                         ? std::nullopt
                         : read_number<std::size_t>(std::string_view(text).substr(between + 1));
  if (!depth || !width) {
    return fail(ErrorCode::invalid_argument,
                "--size '" + text + "'; needed are rows and columns, such as 64x96");
  }
  geometry.depth = *depth;
  geometry.width = *width;
  return {};
}

Status take_geometry(const Arguments& arguments, Geometry& geometry) {
  OUTCROP_CHECK(take_size(arguments.size, geometry));
  geometry.time_step = arguments.time_step_ms / 1e3;
  if (!arguments.bounds.empty()) {
    geometry.slowest = static_cast<float>(arguments.bounds.at(0));
    geometry.fastest = static_cast<float>(arguments.bounds.at(1));
  }
  geometry.source_columns = arguments.source_columns.empty()
                                ? spread_sources(geometry.shots, geometry.width)
                                : arguments.source_columns;
  return check(geometry);
}

void add_geometry(CLI::App& verb, Arguments& arguments) {
  Geometry& geometry = arguments.options.geometry;
  const auto add = [&](const char* name, auto& value, const char* help) {
    return verb.add_option(name, value, help)->capture_default_str();
  };
  const auto add_list = [&](const char* name, auto& values, const char* help) {
    return verb.add_option(name, values, help)->delimiter(',');
  };
  add("--size", arguments.size, "Rows by columns of a map; a receiver stands in each column");
  add("--cell", geometry.spacing, "Metres between cells, both ways");
  add("--shots", geometry.shots, "Gathers of a map")->check(CLI::Range(1, 64));
  add_list("--source-columns", arguments.source_columns,
           "Where the shots' sources stand, as 0,47,95; by default spread over all columns");
  add("--times", geometry.times, "Recorded steps of a gather");
  add("--time-step", arguments.time_step_ms, "Milliseconds between them");
  add_list("--bounds", arguments.bounds,
           "Slowest and fastest velocity of the maps in m/s, by default 1500,4500")
      ->expected(2);
  add("--frequency", geometry.peak_frequency, "Peak frequency of the sources in hertz");
}

Status run(Arguments& arguments) {
  SynthOptions& options = arguments.options;
  OUTCROP_CHECK(take_geometry(arguments, options.geometry));
  if (arguments.model.empty()) {
    OUTCROP_TRY(family, parse_family(arguments.family));
    options.family = family;
  } else {
    options.from = arguments.model;
  }
  Result<SynthReport> report = fail(ErrorCode::internal, "not run");
  {
    const StopSignal signal;
    std::optional<ProgressBar> bar;  // from the first shot on: a refusal needs none
    SynthHooks hooks;
    hooks.progress = [&](std::uint64_t done) {
      if (!bar) bar.emplace("synth", options.count * options.geometry.shots, "shots");
      bar->update(done);
    };
    hooks.stop_requested = [] { return StopSignal::requested(); };
    report = synthesize(options, hooks);
  }
  if (!report) return fail(std::move(report).error());
  print(*report, options.geometry, arguments.json);
  return {};
}

}  // namespace

void add_synth(CLI::App& app, cli::Action& chosen) {
  auto arguments = std::make_shared<Arguments>();
  SynthOptions& options = arguments->options;
  options.threads = available_processors();
  CLI::App* verb = app.add_subcommand(
      "synth",
      "Make training data: velocity maps and the shot gathers that the wave equation gives for "
      "them, as float32 .npy in OpenFWI's layout (maps n,1,70,70 in m/s; gathers n,5,1000,70, or another "
      "geometry's).");
  auto* source = verb->add_option_group("source", "Where the velocity maps come from");
  source
      ->add_option("--family", arguments->family,
                   "curvefault-a: bent layers cut by a fault; flatvel-a: flat layers")
      ->check(CLI::IsMember({"curvefault-a", "flatvel-a"}));
  auto* from = source->add_option("--from", arguments->model,
                                  "Crops of your own velocity model instead: a 2-D float32 .npy, "
                                  "depth by distance, in m/s; resampled to the cells of the maps and "
                                  "clamped to their bounds (10 m, 1500-4500 m/s)");
  source->require_option(1);
  auto* spacing = verb->add_option("--spacing", options.crop.spacing,
                                   "Distance of the model's cells in metres (with --from)")
                      ->check(CLI::Range(0.1, 1000.0));
  from->needs(spacing);
  spacing->needs(from);
  verb->add_flag("--flip-z", options.crop.flip_z, "The model's row 0 is its bottom (with --from)")
      ->needs(from);
  verb->add_option("--count", options.count, "Samples to make; each takes 1.4 MB, or what its geometry does")
      ->required()
      ->check(CLI::Range(1, 10'000'000));
  verb->add_option("--seed", options.seed, "The same seed gives the same bytes")
      ->capture_default_str();
  verb->add_flag("--labels", options.labels,
                 "Also what each cell is, as integers: layers from the top, and the fault zone (for "
                 "segmentation; with --family)")
      ->excludes(from);
  verb->add_option("--threads", options.threads, "Does not change the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 1024));
  verb->add_option("--out", options.out, "Folder to make; must not exist or be empty")->required();
  add_geometry(*verb, *arguments);
  verb->add_flag("--json", arguments->json, "Print the result as one line of JSON");
  verb->footer(
      "The folder appears when it is complete, with a manifest dataset.json (seed, solver\n"
      "parameters, geometry, digest); Ctrl-C leaves nothing. Any folder in OpenFWI's layout trains as "
      "well.\n\n"
      "Examples:\n"
      "  outcrop synth --family curvefault-a --count 320 --seed 1 --out data/train\n"
      "  outcrop synth --from marmousi.npy --spacing 20 --flip-z --count 8 --out data/marmousi\n"
      "  outcrop synth --family flatvel-a --size 64x96 --shots 3 --times 500 --time-step 2 --count 64 \\\n"
      "    --out data/wide");
  verb->callback([arguments, &chosen] { chosen = [arguments] { return run(*arguments); }; });
}

}  // namespace outcrop::data
