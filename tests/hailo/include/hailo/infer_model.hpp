/* A stand-in for HailoRT's C++ header of networks, written for tests (hailort.h). */
#ifndef HS_TESTS_HAILO_INFER_MODEL_HPP
#define HS_TESTS_HAILO_INFER_MODEL_HPP

#include <chrono>
#include <functional>

#include "hailo/vdevice.hpp"

namespace hailort
{

class AsyncInferJob
{
public:
    AsyncInferJob() = default;
    AsyncInferJob(const AsyncInferJob &) = delete;
    AsyncInferJob &operator=(const AsyncInferJob &) = delete;
    AsyncInferJob(AsyncInferJob &&other) noexcept;
    AsyncInferJob &operator=(AsyncInferJob &&other) noexcept;
    ~AsyncInferJob(); /* waits, unless the job is detached */
    void detach();

private:
    friend class ConfiguredInferModel;
    bool attached = false;
};

struct AsyncInferCompletionInfo {
    explicit AsyncInferCompletionInfo(hailo_status how) : status(how) {}
    hailo_status status;
};

struct Running; /* the double's state of a configured network, of bindings and of a stream */
struct Bound;
struct Stream;

class ConfiguredInferModel
{
public:
    class Bindings
    {
    public:
        class InferStream
        {
        public:
            hailo_status set_buffer(MemoryView view);

        private:
            friend class Bindings;
            friend class Expected<InferStream>;
            InferStream() = default;
            std::shared_ptr<Bound> bound;
            size_t index = 0; /* index of the tensor; the input is the last one */
        };

        Bindings() = default;
        Expected<InferStream> input(const std::string &name);
        Expected<InferStream> output(const std::string &name);

    private:
        friend class ConfiguredInferModel;
        std::shared_ptr<Bound> bound;
    };

    ConfiguredInferModel() = default;
    Expected<Bindings> create_bindings();
    hailo_status wait_for_async_ready(std::chrono::milliseconds timeout, uint32_t frames_count = 1);
    Expected<AsyncInferJob> run_async(const Bindings &bindings,
                                      std::function<void(const AsyncInferCompletionInfo &)> callback);
    Expected<size_t> get_async_queue_size();
    hailo_status shutdown();

private:
    friend class InferModelDouble;
    std::shared_ptr<Running> running;
};

class InferModel
{
public:
    class InferStream
    {
    public:
        hailo_3d_image_shape_t shape() const;
        hailo_format_t format() const;
        size_t get_frame_size() const;
        std::vector<hailo_quant_info_t> get_quant_infos() const;
        bool is_nms() const;
        void set_format_type(hailo_format_type_t type);
        void set_format_order(hailo_format_order_t order);

    private:
        friend class InferModelDouble;
        friend class Expected<InferStream>;
        std::shared_ptr<Stream> stream;
    };

    virtual ~InferModel() = default;
    virtual void set_batch_size(uint16_t batch_size) = 0;
    virtual Expected<ConfiguredInferModel> configure() = 0;
    virtual Expected<InferStream> input(const std::string &name) = 0;
    virtual Expected<InferStream> output(const std::string &name) = 0;
    virtual const std::vector<std::string> &get_input_names() const = 0;
    virtual const std::vector<std::string> &get_output_names() const = 0;
};

} // namespace hailort

#endif
