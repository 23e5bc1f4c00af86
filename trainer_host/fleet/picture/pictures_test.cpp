#include "trainer_host/fleet/picture/pictures.hpp"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include "runtime/engine/png_file.hpp"
#include "runtime/engine/tensor_file.hpp"
#include "tests/support/result_matchers.hpp"
#include "tests/support/temporary_folder.hpp"

namespace outcrop::fleet {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Verdict = Comparison::Verdict;

// A release whose float model answers 0, 100, 200, 300 at two rows of two points, and may be off by 20 on average and 50 at most.
class PicturesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto blobs = BlobStore::open(folder_.path() / "blobs");
    ASSERT_THAT(blobs, IsOk());
    blobs_.emplace(std::move(*blobs));
    auto registry = open_sqlite_registry(folder_.path() / "registry.sqlite");
    ASSERT_THAT(registry, IsOk());
    registry_ = std::move(*registry);
  }
  messages::BlobReference store(BytesView bytes) {
    const trust::Sha256Digest digest = trust::sha256(bytes);
    EXPECT_THAT(blobs_->upload(digest, ByteCount(bytes.size()), ByteCount(0), bytes), IsOk());
    return {digest, ByteCount(bytes.size()), trust::sha256("table")};
  }
  trust::Sha256Digest publish(std::vector<messages::Dimension> shape, std::vector<std::int64_t> sizes) {
    messages::Manifest manifest;
    manifest.minimum_agent = "0.1.0";
    manifest.model = "curvefault";
    manifest.stage = 1;
    manifest.epoch = 20;
    manifest.code_version = "0.1.0";
    messages::Method forward{"forward", {}, {{"velocity", messages::TensorType{"float32", std::move(shape), "m/s", {}}, {}}}};
    forward.inputs = {{"batch_size", messages::ScalarType{messages::ScalarKind::integer, {}, messages::Range{1, 256}, "batch"}}};
    manifest.signature = {"forward", {forward}};
    const auto answer = [&](const std::string& name, float scale) {
      std::vector<float> values;
      for (std::int64_t i = 0; i < sizes.back() * (sizes.size() > 2 ? 2 : 1); ++i) values.push_back(scale * static_cast<float>(i));
      return runtime::Tensor::of_floats(name, sizes, values);
    };
    const std::vector<runtime::Tensor> none;
    manifest.golden.input = store(*runtime::encode_tensor_file(none));
    const std::vector<runtime::Tensor> answers{answer("another", 7), answer("one", 100)};
    manifest.golden.output = store(*runtime::encode_tensor_file(answers));
    manifest.golden.calls = {{"forward", {std::int64_t{1}}, {{"one"}}}, {"forward", {std::int64_t{1}}, {{"another"}}}};
    messages::Variant variant;
    variant.name = "int8-qint8";
    variant.blob = store(as_bytes(std::string("model")));
    variant.engine = "torch";
    variant.backend = "qnnpack";
    variant.operators = {"aten::add"};
    variant.methods = {{"forward", "forward(int batch_size) -> Tensor"}};
    variant.memory = ByteCount::mib(8);
    variant.tolerance = {{"velocity", 20, 50}};
    manifest.variants = {variant};
    return store(as_bytes(to_json(manifest))).sha256;
  }
  static messages::Picture picture(const trust::Sha256Digest& manifest, double min, double max, std::string gray,
                                   std::vector<std::int64_t> shape = {1, 2, 2}) {
    messages::Picture drawn;
    drawn.header = {"pi-1", 1, 2, Timestamp(std::chrono::seconds(1'800'000'000)), true};
    drawn.manifest = manifest;
    drawn.variant = "int8-qint8";
    drawn.drawn = messages::Picture::Drawn{"velocity", std::move(shape), min, max, std::move(gray)};
    return drawn;
  }
  Comparison compared(double min, double max, const std::string& gray) {
    const auto manifest = publish({"batch", 2, 2}, {1, 2, 2});
    const auto own = hosts_own(*blobs_, manifest);
    EXPECT_THAT(own, IsOk());
    const auto found = compare(picture(manifest, min, max, gray), *own);
    EXPECT_THAT(found, IsOk());
    words_ = in_words(*found, *own, "int8-qint8");
    return *found;
  }
  template <class T>
  T run(boost::asio::awaitable<T> work) {
    std::optional<T> result;
    boost::asio::co_spawn(io_, std::move(work), [&](const std::exception_ptr& error, T found) {
      ASSERT_FALSE(error);
      result.emplace(std::move(found));
    });
    io_.restart();
    io_.run();
    return std::move(*result);
  }
  Pictures pictures() {
    return {*registry_, worker_, [this](const trust::Sha256Digest& manifest) {
              ++reads_;
              return hosts_own(*blobs_, manifest);
            }};
  }

  TemporaryFolder folder_;
  std::optional<BlobStore> blobs_;
  std::unique_ptr<Registry> registry_;
  boost::asio::io_context io_;
  boost::asio::thread_pool worker_{1};
  std::string words_;
  int reads_ = 0;
};

const std::string evenly("\x00\x55\xaa\xff", 4);

TEST_F(PicturesTest, the_hosts_own_is_what_the_first_golden_call_answered) {
  const auto own = hosts_own(*blobs_, publish({"batch", 2, 2}, {1, 2, 2}));
  ASSERT_THAT(own, IsOk());
  EXPECT_THAT(own->map.values, ElementsAre(0, 100, 200, 300));
  EXPECT_EQ(own->max, 300);
  EXPECT_EQ(own->unit, "m/s");
  EXPECT_EQ(own->allowed.at("int8-qint8").max_abs, 50);
  EXPECT_THAT(hosts_own(*blobs_, publish({"batch", 10}, {1, 10})),
              ErrorIs(ErrorCode::unsupported, HasSubstr("draws no picture: its first output, 'velocity', is float32 [batch, 10]")));
  EXPECT_THAT(hosts_own(*blobs_, trust::sha256("none")), ErrorIs(ErrorCode::not_found, HasSubstr("")));
}

TEST_F(PicturesTest, a_picture_is_as_the_hosts_own_within_what_is_allowed_or_beyond) {
  EXPECT_EQ(compared(0, 300, evenly).verdict, Verdict::same);
  EXPECT_THAT(words_, HasSubstr("as near as 256 levels of gray can tell"));
  const Comparison near = compared(15, 315, evenly);
  EXPECT_EQ(near.verdict, Verdict::within);
  EXPECT_NEAR(near.largest, 15, 1e-9);
  EXPECT_NEAR(near.rms, 15, 1e-9);
  EXPECT_THAT(words_, HasSubstr("by 15 m/s at most and 15 m/s in the root mean square, which are 12.8 and 12.8 steps of the gray scale"));
  EXPECT_EQ(compared(30, 330, evenly).verdict, Verdict::beyond) << "on average";
  EXPECT_EQ(compared(0, 300, std::string("\x00\x55\xaa\xc0", 4)).verdict, Verdict::beyond) << "at one point";
  EXPECT_EQ(compared(-1e38, 1e38, evenly).verdict, Verdict::beyond);
  EXPECT_THAT(words_, HasSubstr("It is not what was signed. Off the host's own by 1e+38 m/s"));
}

TEST_F(PicturesTest, classes_are_the_same_or_others) {
  HostsOwn own{"label", "", true, {{1, 2, 2}, {2, 2, 1, 1}, {0, 1, 2, 4}}, 0, 4, {{"int8-qint8", {"label", .1, .2}}}};
  const trust::Sha256Digest manifest = trust::sha256("m");
  messages::Picture drawn = picture(manifest, 0, 4, std::string("\x00\x40\x80\xff", 4));
  drawn.drawn->output = "label";
  EXPECT_EQ(compare(drawn, own)->verdict, Verdict::same);
  own.map.values[3] = 3;
  const auto found = compare(drawn, own);
  EXPECT_EQ(found->verdict, Verdict::off);
  EXPECT_THAT(in_words(*found, own, "int8-qint8"), HasSubstr("at 1 of 4 points (25 %)"));
}

TEST_F(PicturesTest, are_drawn_to_the_scale_of_the_hosts_own) {
  const auto manifest = publish({"batch", 2, 2}, {1, 2, 2});
  ASSERT_THAT(registry_->ask_picture("pi-1", Timestamp()), IsOk());
  ASSERT_EQ(registry_->save(picture(manifest, 100, 400, evenly), Timestamp()), true);
  Pictures all = pictures();
  const auto shown = run(all.of("pi-1"));
  ASSERT_TRUE(shown && *shown);
  const auto pixels = [&](PictureView view) {
    const auto file = png_of(**shown, view);
    EXPECT_THAT(file, IsOk());
    const auto image = runtime::decode_png(as_bytes(*file));
    EXPECT_THAT(image, IsOk());
    return std::vector<float>(image->floats().begin(), image->floats().end());
  };
  EXPECT_THAT(pixels(PictureView::board), ElementsAre(85, 170, 255, 255));
  EXPECT_THAT(pixels(PictureView::host), ElementsAre(0, 85, 170, 255));
  EXPECT_THAT(pixels(PictureView::difference), ElementsAre(255, 255, 255, 255));
  EXPECT_EQ(pixels(PictureView::all).size(), 2U * (3 * 2 + 2 * 4));
  EXPECT_EQ(run(all.of("pi-1"))->value().comparison->verdict, Verdict::beyond);
  EXPECT_EQ(run(all.drawn_by(manifest, 9))->size(), 1U);
  EXPECT_EQ(reads_, 1) << "the host's own is read once";
  EXPECT_EQ(run(all.of("pi-2")).value(), std::nullopt);
}

TEST_F(PicturesTest, without_one_of_the_hosts_are_shown_alone_and_say_why) {
  const trust::Sha256Digest gone = trust::sha256("gone");
  ASSERT_THAT(registry_->ask_picture("pi-1", Timestamp()), IsOk());
  Pictures all = pictures();
  auto shown = run(all.of("pi-1")).value();
  ASSERT_TRUE(shown);
  EXPECT_EQ(shown->words(), "");
  EXPECT_THAT(png_of(*shown, PictureView::board), ErrorIs(ErrorCode::not_found, HasSubstr("no picture of 'pi-1'")));
  ASSERT_EQ(registry_->save(picture(gone, 100, 400, evenly), Timestamp()), true);
  shown = run(all.of("pi-1")).value();
  EXPECT_THAT(shown->words(), HasSubstr("nothing to hold it against: "));
  EXPECT_THAT(png_of(*shown, PictureView::board), IsOk());
  EXPECT_THAT(png_of(*shown, PictureView::all), IsOk());
  EXPECT_THAT(png_of(*shown, PictureView::host), ErrorIs(ErrorCode::not_found, HasSubstr("the host's own")));
  // Of other sizes than the host's: what drew it is not what was signed.
  const auto manifest = publish({"batch", 2, 2}, {1, 2, 2});
  ASSERT_EQ(registry_->save(picture(manifest, 0, 300, std::string(6, '\0'), {1, 2, 3}), Timestamp()), true);
  shown = run(all.of("pi-1")).value();
  EXPECT_THAT(shown->words(), HasSubstr("it drew 'velocity' of [1, 2, 3], and the host's own is 'velocity' of [1, 2, 2]"));
  messages::Picture none = picture(manifest, 0, 1, evenly);
  none.drawn.reset();
  none.variant.clear();
  none.why = "there was no rest";
  ASSERT_EQ(registry_->save(none, Timestamp()), true);
  EXPECT_EQ(run(all.of("pi-1")).value()->words(), "It drew nothing: there was no rest.");
}

}  // namespace
}  // namespace outcrop::fleet
