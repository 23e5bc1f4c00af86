#include <array>
#include <cstdio>

#include "trainer_host/trainer/kinds/generator/comparison.hpp"

namespace outcrop::generator {
namespace {

struct Shown {
  kinds::Evaluation::Column column;
  std::optional<double> (*of)(const PairScores& scores);
};

const std::vector<Shown>& shown_columns() {
  static const std::vector<Shown> columns{
      {{"velocity", "ssim", "SSIM map", 4}, [](const PairScores& s) { return std::optional(s.velocity.ssim); }},
      {{"velocity", "mae", "MAE m/s", 1}, [](const PairScores& s) { return std::optional(s.velocity.mae); }},
      {{"velocity", "rmse", "RMSE m/s", 1}, [](const PairScores& s) { return std::optional(s.velocity.rmse); }},
      {{"velocity", "within_50_m_per_s", "within 50 m/s", 3}, [](const PairScores& s) { return std::optional(s.in_layer); }},
      {{"seismic", "ssim", "SSIM gather", 4}, [](const PairScores& s) { return std::optional(s.gathers.ssim); }},
      {{"seismic", "mae", "MAE gather", 4}, [](const PairScores& s) { return std::optional(s.gathers.mae); }},
      {{"seismic", "rmse", "RMSE gather", 4}, [](const PairScores& s) { return std::optional(s.gathers.rmse); }},
      {{"seismic", "relative_error", "", 3},
       [](const PairScores& s) { return std::optional(s.gather_error.whole); }},
      {{"seismic", "reflections_relative_error", "reflections", 3},
       [](const PairScores& s) { return s.gather_error.reflections; }}};
  return columns;
}

kinds::Evaluation::Line shown_line(const ComparedLine& line) {
  kinds::Evaluation::Line shown{line.name, {}};
  for (const Shown& column : shown_columns()) {
    shown.figures.push_back(line.scores ? column.of(*line.scores) : std::nullopt);
  }
  return shown;
}

std::string figure(const std::optional<double>& value, const char* format) {
  if (!value) return "–";
  std::array<char, 48> text{};
  std::snprintf(text.data(), text.size(), format, *value);
  return text.data();
}

// What a line says of one thing, where it says anything.
template <class Choose>
std::string figure(const ComparedLine& line, const char* format, Choose choose) {
  return figure(line.scores ? std::optional<double>(choose(*line.scores)) : std::nullopt, format);
}

std::string caption_of(const Comparison& comparison) {
  const ComparedLine& model = comparison.variants.front();
  const ComparedLine& mean = comparison.baselines.front();
  const auto ssim = [](const PairScores& scores) { return std::optional(scores.velocity.ssim); };
  const auto mae = [](const PairScores& scores) { return std::optional(scores.velocity.mae); };
  const auto reflections = [](const PairScores& scores) { return scores.gather_error.reflections; };
  return "Of " + std::to_string(comparison.samples) + " reconstructions: SSIM of maps " +
         figure(model, "%.3f", ssim) + " (mean map " + figure(mean, "%.3f", ssim) + "), " +
         figure(model, "%.0f", mae) + " m/s;  reflections off the true maps' by " +
         figure(model, "%.2f", reflections) + " of their size (mean gather " +
         figure(mean, "%.2f", reflections) + ", silence 1)";
}

std::string drawn_text_of(const GeneratedReport& generated) {
  std::string text = std::to_string(generated.samples) + " generated maps differ by " +
                     figure(generated.diversity, "%.0f") + " m/s from each other (these data: " +
                     figure(generated.data_diversity, "%.0f") + ")";
  if (generated.nearest) {
    text += ", by " + figure(generated.nearest, "%.0f") + " m/s from the nearest training map (" +
            figure(generated.data_nearest, "%.0f") + "), at least " +
            figure(generated.closest, "%.0f");
  }
  if (generated.fine) {
    text += ". Fine detail: " + figure(generated.fine, "%.2f") + " of the energy of their gradients (these data: " +
            figure(generated.data_fine, "%.2f") + ")";
  }
  if (generated.distance) {
    const SetDistance& distance = *generated.distance;
    text += std::string(generated.fine ? ", " : ". ") + (distance.measure == "frechet" ? "Fréchet" : "kernel") +
            " distance to real maps " + figure(distance.generated, "%.3f") +
            (distance.real ? " (these data: " + figure(distance.real, "%.3f") + ")" : "");
    if (generated.reconstructed_distance) {
      text += "; of real maps through encoder and decoder " + figure(generated.reconstructed_distance->generated, "%.3f");
    }
    if (generated.gaussian_distance) {
      text += "; by a Gaussian's latents, without the diffusion, " + figure(generated.gaussian_distance->generated, "%.3f");
    }
  }
  return text;
}

std::vector<kinds::Evaluation::Figure> drawn_of(const GeneratedReport& generated) {
  std::vector<kinds::Evaluation::Figure> figures{{"samples", static_cast<double>(generated.samples)},
          {"diversity_m_per_s", generated.diversity},
          {"data_diversity_m_per_s", generated.data_diversity},
          {"nearest_training_m_per_s", generated.nearest},
          {"closest_training_m_per_s", generated.closest},
          {"data_nearest_training_m_per_s", generated.data_nearest}};
  figures.push_back({"fine_share", generated.fine});
  figures.push_back({"data_fine_share", generated.data_fine});
  if (generated.distance) {
    // Named by the features: by others they are other figures.
    const auto name_of = [](const SetDistance& distance) {
      return distance.measure + "_distance_" + distance.features.substr(0, 8);
    };
    const std::string name = name_of(*generated.distance);
    figures.push_back({name, generated.distance->generated});
    figures.push_back({"data_" + name, generated.distance->real});
    if (generated.reconstructed_distance) {
      figures.push_back({"reconstructed_" + name_of(*generated.reconstructed_distance), generated.reconstructed_distance->generated});
    }
    if (generated.gaussian_distance) {
      figures.push_back({"gaussian_" + name_of(*generated.gaussian_distance), generated.gaussian_distance->generated});
    }
  }
  return figures;
}

struct ShownMisfit {
  kinds::Evaluation::Column column;
  std::optional<Interval> PhysicsLine::* of;
  double Interval::* figure;
};

const std::vector<ShownMisfit>& shown_misfits() {
  static const std::vector<ShownMisfit> columns{
      {{"misfit_log_muted", "median", "muted", 3}, &PhysicsLine::log_muted, &Interval::median},
      {{"misfit_log_muted", "low", "10 %", 3}, &PhysicsLine::log_muted, &Interval::low},
      {{"misfit_log_muted", "high", "90 %", 3}, &PhysicsLine::log_muted, &Interval::high},
      {{"misfit_log_whole", "median", "whole", 3}, &PhysicsLine::log_whole, &Interval::median},
      {{"misfit_log_whole", "low", "", 3}, &PhysicsLine::log_whole, &Interval::low},
      {{"misfit_log_whole", "high", "", 3}, &PhysicsLine::log_whole, &Interval::high},
      {{"misfit_muted", "median", "muted, physical", 3}, &PhysicsLine::muted, &Interval::median},
      {{"misfit_muted", "low", "", 3}, &PhysicsLine::muted, &Interval::low},
      {{"misfit_muted", "high", "", 3}, &PhysicsLine::muted, &Interval::high},
      {{"misfit_whole", "median", "whole, physical", 3}, &PhysicsLine::whole, &Interval::median},
      {{"misfit_whole", "low", "", 3}, &PhysicsLine::whole, &Interval::low},
      {{"misfit_whole", "high", "", 3}, &PhysicsLine::whole, &Interval::high}};
  return columns;
}

kinds::Evaluation::Line shown_line(const PhysicsLine& line) {
  kinds::Evaluation::Line shown{line.name, {}};
  for (const ShownMisfit& column : shown_misfits()) {
    const std::optional<Interval>& of = line.*column.of;
    shown.figures.push_back(of ? std::optional((*of).*column.figure) : std::nullopt);
  }
  return shown;
}

kinds::Evaluation::Drawn drawn_lines_of(const PhysicsReport& physics) {
  kinds::Evaluation::Drawn drawn;
  const std::size_t pairs = physics.variants.front().pairs;
  drawn.heading = "Misfit of " + std::to_string(pairs) +
                  " generated pairs to the wave equation of their own maps (median; muted: without the direct wave)";
  for (const ShownMisfit& column : shown_misfits()) drawn.columns.push_back(column.column);
  for (const PhysicsLine& line : physics.variants) drawn.variants.push_back(shown_line(line));
  for (const PhysicsLine& line : physics.baselines) drawn.baselines.push_back(shown_line(line));
  return drawn;
}

kinds::Evaluation shown(Comparison comparison, const data::Geometry& geometry) {
  kinds::Evaluation evaluation;
  evaluation.samples = comparison.samples;
  for (const Shown& column : shown_columns()) evaluation.columns.push_back(column.column);
  for (const ComparedLine& line : comparison.variants) evaluation.variants.push_back(shown_line(line));
  for (const ComparedLine& line : comparison.baselines) {
    evaluation.baselines.push_back(shown_line(line));
  }
  evaluation.drawn = drawn_of(comparison.generated);
  evaluation.drawn_text = drawn_text_of(comparison.generated);
  for (const EqualNoise& one : comparison.equal_noise) {
    evaluation.drawn.push_back({"ssim_at_equal_noise_" + one.variant, one.ssim});
    evaluation.drawn.push_back({"mae_m_per_s_at_equal_noise_" + one.variant, one.mae});
    evaluation.drawn_text += ". " + one.variant + ": SSIM " + figure(one.ssim, "%.3f") + ", " + figure(one.mae, "%.0f") +
                             " m/s from " + comparison.variants.front().name + "'s maps of the same noise (" +
                             std::to_string(one.maps) + ")";
  }
  evaluation.drawn_lines = drawn_lines_of(comparison.physics);
  evaluation.caption = caption_of(comparison);
  evaluation.remarks = std::move(comparison.remarks);
  Gallery gallery{.title = {},
                  .caption = evaluation.caption,
                  .reconstructed = std::move(comparison.reconstructed_rows),
                  .generated = std::move(comparison.generated_rows),
                  .strips = std::move(comparison.strips),
                  .strip_headings = std::move(comparison.strip_headings),
                  .geometry = geometry};
  evaluation.draw = [gallery = std::move(gallery)](const std::string& title,
                                                   const std::filesystem::path& png) mutable {
    gallery.title = title;
    return draw_gallery(gallery, png);
  };
  return evaluation;
}

// Also of "data/marmousi/".
std::string folder_name(const std::filesystem::path& folder) {
  return (folder.has_filename() ? folder : folder.parent_path()).filename().string();
}

}  // namespace

Result<kinds::Evaluation> GeneratorTask::evaluate(const kinds::EvaluationRequest& request) {
  ComparisonOptions options;
  options.generated = request.drawn;
  options.progress = request.progress;
  if (!request.other.empty()) {
    OUTCROP_TRY(dataset, data::Dataset::open(request.other));
    OUTCROP_CHECK(check_same_geometry(data_.geometry, "the model", dataset.geometry(),
                                      request.other.string()));
    options.other_label = folder_name(request.other);
    options.other.append(std::make_shared<const data::Dataset>(std::move(dataset)), 0, 1);
  }
  OUTCROP_TRY(comparison, compare(*this, request.variants, options));
  return shown(std::move(comparison), data_.geometry);
}

}  // namespace outcrop::generator
