namespace Sparseland.Tests.Models.Language;

/// <summary>A decoder's config.json, its tensors as "name:rowsxcolumns", and logits [0, 7, :] and [1, 4, :].</summary>
internal sealed record ReferenceDecoder(string Config, string Tensors, double[] Logits);

/// <summary>Printed by reference_decoders.py with PyTorch 1.13.0a0.</summary>
internal static class ReferenceDecoders
{
    public static readonly Dictionary<string, ReferenceDecoder> All = new()
    {
        ["llama, heads of another width, biases"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "attention_bias": true, "mlp_bias": true}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.bias:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.bias:40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.bias:40 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.bias:24 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.bias:32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.bias:48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.bias:24 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.bias:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.bias:40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.bias:40 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.bias:24 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.bias:32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.bias:48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.bias:24 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                0.966149265, 0.742914891, -1.691552283, 2.461532617, -0.016022844, 0.148357996, 3.806744924, 0.962620173,
                2.580903775, -1.885692845, -2.314001994, -1.288811424, -4.509384890, 1.499469704, -0.630540812, -1.563288054,
                -0.219296510, 0.091601134, 3.029072953, -0.518371922, -1.222417210, 3.071998321, 1.036853994, 2.859738298,
                1.287271922, 0.276681804, 0.399172058, -0.576478188, 0.392163514,
                -0.987146884, -1.938991218, 2.040646477, 1.083668661, -0.459662093, 3.098560903, 1.751162049, -0.740088543,
                1.488079678, 0.867803193, 1.036139057, 0.397348425, -0.481916473, -0.482013595, -0.732107876, 0.834187048,
                2.380802990, 0.221521143, 0.107320774, 1.334168833, 0.620208663, -1.211196810, 0.476262466, -0.300589050,
                2.423846539, -2.404751415, -1.928270206, -0.363812885, 1.477109879,
            ]),
        ["llama, linear"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "rope_scaling": {"type": "linear", "factor": 2.5}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                0.339227547, 3.747716174, 0.176062886, 0.064805380, 0.271933042, -2.934454562, 0.992625541, 1.339577853,
                1.295436943, 0.914964268, -0.359424452, 1.175209761, -1.263798997, 0.794584188, 2.463976695, 1.307850121,
                -1.230193648, 3.172795579, 1.512447898, 1.016811392, 3.353471236, 1.631173622, -0.078647118, 0.055276489,
                2.037169540, 0.375866936, 0.459315243, 2.546769218, -1.282775765,
                3.022855366, 0.566703850, 0.303849162, 1.794248014, -0.593153836, 0.405157270, 2.285820032, -0.134331974,
                0.715389371, -0.742372085, 0.845012766, -1.073625342, -1.210891019, -0.024900885, 1.312860835, 2.978731496,
                1.199708222, 1.843966200, 0.697248037, 0.896310185, 2.240216616, 1.347520362, -0.865040927, -1.624486241,
                -0.416208655, 0.424020692, -0.313616067, 0.147940823, -0.161589258,
            ]),
        ["llama, dynamic"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 5, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "rope_scaling": {"type": "dynamic", "factor": 3.0}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                -0.797047644, 3.597152684, -0.598912212, -1.095491923, 0.619986797, -2.445650158, 0.724948650, 0.199156986,
                0.991386038, 0.755740100, -0.126283685, 1.299319234, -1.405510151, 1.061046061, 2.444059633, 0.279190664,
                -1.385365963, 3.224539876, 1.528864563, 0.219344907, 1.950479900, 1.360035072, 0.421182334, 0.464851013,
                1.995118676, -0.094700855, -0.369902609, 3.153606697, -0.921024871,
                2.820937369, 0.578423652, -0.369369245, 1.624475660, -0.540211763, 0.699753287, 2.220454782, -0.347402495,
                0.728662305, -1.298255579, 0.218395643, -0.835389278, -1.220025847, -0.115017853, 1.013036191, 3.006684779,
                1.587212799, 1.951370526, 0.980047948, 0.663945386, 2.195338568, 1.360284567, -1.026807066, -1.985871794,
                -0.248608204, 0.441348217, -0.113175599, -0.104547648, -0.119719080,
            ]),
        ["llama, dynamic within its length"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "rope_scaling": {"rope_type": "dynamic", "factor": 3.0}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                -0.693771211, 3.493912002, -0.578377614, -1.589373524, 0.626466828, -2.724215012, 0.740120990, 0.384909291,
                1.188741838, 0.697684881, -0.582236764, 1.167897879, -1.161295533, 1.359673770, 2.519827715, 0.885125804,
                -1.409100231, 3.126963887, 1.163911283, 0.100604387, 2.268367595, 1.019433974, 0.411988931, 0.269329164,
                2.001655284, 0.232675245, -0.427010523, 3.334219239, -0.658722715,
                2.802103080, 0.506754637, -0.508448389, 1.590431605, -0.617513786, 0.815643396, 2.192545476, -0.440137821,
                0.644229376, -1.385782395, 0.128536280, -0.708338025, -1.169394224, -0.077717541, 0.910736188, 2.997494973,
                1.719044538, 1.985916452, 1.015568876, 0.614031026, 2.106636497, 1.251831977, -1.089002797, -2.006363406,
                -0.226964220, 0.449913402, -0.011911863, -0.208876566, -0.127540558,
            ]),
        ["llama, yarn"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "rope_parameters": {"rope_type": "yarn", "rope_theta": 500.0, "factor": 4.0, "original_max_position_embeddings": 64}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                -0.080048081, -1.251256248, 1.070651510, -0.205444477, 0.344875086, 0.586093510, -2.304971393, -0.656735016,
                1.742550194, 1.074537749, 2.359694265, 1.092921614, 0.680459942, 2.096126767, 0.056365592, 1.183641933,
                -2.643725851, -0.844021813, 1.964872266, -1.976983295, -0.625374411, -1.068021885, 2.446773976, 2.170273945,
                0.829070923, 2.594598993, -0.612045824, 1.701188899, 3.384547250,
                2.663202467, 1.016649415, 0.050636966, 0.438870333, 1.259296602, -0.993950339, -1.851258622, -1.759014099,
                -4.600547932, 3.171223452, 2.791212747, 1.325421505, 1.202761567, -2.826534009, 0.749774371, 1.890623019,
                2.762667878, 2.165534512, -2.706018018, 1.106514403, -0.705281042, -2.720596834, 0.120612281, -1.770754026,
                -0.611233626, -0.573534223, 0.295083100, -0.003244428, -1.353079150,
            ]),
        ["llama, yarn with all its options"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "rope_scaling": {"rope_type": "yarn", "factor": 8.0, "original_max_position_embeddings": 40, "beta_fast": 3.0, "beta_slow": 0.5, "mscale": 0.7, "mscale_all_dim": 1.5, "truncate": false}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                0.021357738, -1.370307190, 1.261459225, -0.206571929, 0.182827651, 0.186641473, -2.269730117, -0.679673721,
                1.659557074, 1.186065664, 2.373821146, 0.878674718, 0.793387867, 1.851555114, 0.131368673, 1.015858950,
                -2.936694089, -1.103864601, 1.781411260, -1.916641198, -0.953746172, -1.271138293, 2.650235243, 2.059771917,
                0.224301266, 2.563663552, -0.650695364, 1.827955792, 3.648941421,
                2.889731538, 1.583716455, -0.158975055, 0.651407598, 1.561435108, -1.147649882, -1.935828495, -1.432739892,
                -4.723305923, 3.231448195, 1.841878446, 1.215258730, 1.193717757, -2.528124139, 1.082630636, 2.067383252,
                2.022397835, 2.326844189, -2.855254194, 1.655971806, -0.483468855, -2.825124536, 0.001397301, -2.037178872,
                -0.516722313, -0.655332342, 0.023415015, 0.138053655, -1.769450742,
            ]),
        ["llama, yarn with a given attention factor"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "rope_scaling": {"type": "yarn", "factor": 2.0, "attention_factor": 1.3}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                -0.865388825, 3.246975929, -0.146535858, -0.710240154, 0.576530930, -2.405736605, 0.787660053, -0.002763487,
                0.934532854, 1.132125222, -0.028712307, 1.270833618, -1.428119757, 0.910585688, 2.477700019, 0.735657283,
                -0.623019945, 2.860382384, 1.076783361, 0.106673729, 2.436664028, 1.307248750, 0.423106811, 0.563726077,
                2.383442607, 0.149018103, -0.079351478, 3.280006398, -0.654122976,
                2.449290204, 0.481303211, -1.018946546, 1.524425795, -0.651996338, 0.027435170, 2.185178965, -0.440663129,
                0.130250840, -1.276387310, -0.210182145, -0.555001164, -1.483394651, 0.945432244, 0.858094353, 2.720371161,
                1.913599653, 2.479654394, 1.078324455, 0.990259216, 1.766154094, 1.708327924, -1.660375646, -2.053481655,
                -0.045962323, 0.220417667, 0.578935186, -0.500243309, -0.997419634,
            ]),
        ["llama, llama3"] = new(
            """
            {"model_type": "llama", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "rope_scaling": {"rope_type": "llama3", "factor": 4.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                -0.190432077, -1.482820855, 1.315432510, -0.389830219, 0.434066165, 0.547132711, -2.390550721, -0.864645751,
                1.774573697, 1.211848743, 2.677680972, 0.761529318, 0.687577120, 1.808394970, 0.119363170, 1.000359055,
                -2.967636309, -1.192393038, 1.820327244, -2.075549699, -0.854382297, -1.168625473, 2.643205411, 1.972770313,
                0.375581660, 2.540633018, -0.872441406, 1.685651973, 3.491649032,
                2.801229089, 1.275392353, 0.001620231, 0.567961259, 1.293842697, -1.124159861, -1.929173933, -1.626815134,
                -4.748949997, 3.171441713, 2.313778110, 1.263302462, 1.268007315, -2.657853377, 0.894428936, 1.974032206,
                2.488337610, 2.293452550, -2.799941393, 1.387495434, -0.576175204, -2.877878371, -0.023505883, -1.957298712,
                -0.492632396, -0.525728426, 0.228180612, 0.032864480, -1.473310048,
            ]),
        ["mistral, no window"] = new(
            """
            {"model_type": "mistral", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "sliding_window": null}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                -0.693771211, 3.493912002, -0.578377614, -1.589373524, 0.626466828, -2.724215012, 0.740120990, 0.384909291,
                1.188741838, 0.697684881, -0.582236764, 1.167897879, -1.161295533, 1.359673770, 2.519827715, 0.885125804,
                -1.409100231, 3.126963887, 1.163911283, 0.100604387, 2.268367595, 1.019433974, 0.411988931, 0.269329164,
                2.001655284, 0.232675245, -0.427010523, 3.334219239, -0.658722715,
                2.802103080, 0.506754637, -0.508448389, 1.590431605, -0.617513786, 0.815643396, 2.192545476, -0.440137821,
                0.644229376, -1.385782395, 0.128536280, -0.708338025, -1.169394224, -0.077717541, 0.910736188, 2.997494973,
                1.719044538, 1.985916452, 1.015568876, 0.614031026, 2.106636497, 1.251831977, -1.089002797, -2.006363406,
                -0.226964220, 0.449913402, -0.011911863, -0.208876566, -0.127540558,
            ]),
        ["mistral, window"] = new(
            """
            {"model_type": "mistral", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "sliding_window": 3}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                0.685824062, 1.064000972, 3.410532839, 2.976727783, -2.039622504, -0.155020402, 0.207671892, -0.898803210,
                0.328682783, 2.976086631, 1.501756267, -1.186088461, 0.331795900, -2.661360370, 1.180236794, -0.540385218,
                -0.775838235, -2.335530902, -0.760749362, 0.923009318, 1.607821904, 0.233860799, 2.324246713, -0.035496856,
                -0.460687296, -0.517060786, -1.200721299, 2.952013618, 3.797864564,
                2.858714269, 1.839371502, -0.680756104, 0.052486145, 3.212281959, 0.150272505, -0.835196141, -0.148824005,
                -2.507630935, 2.875902837, 1.390812644, 0.454889640, -0.782559827, -1.139323979, 0.814442873, 1.760253510,
                -0.275422426, 1.224998826, -1.913809216, 2.261238780, -0.470126948, -1.282138485, 0.474667311, -0.829578857,
                -1.277456565, -0.980872829, -1.788068023, 0.167054743, -3.022089884,
            ]),
        ["qwen2"] = new(
            """
            {"model_type": "qwen2", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": true, "use_sliding_window": false, "sliding_window": 3, "max_window_layers": 1}
            """,
            "model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.bias:16 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.bias:32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.bias:16 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.bias:16 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.bias:32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.bias:16 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                -0.223447525, -0.054211312, -1.860268811, -3.606327113, 0.707210528, -0.679725037, -0.187750216, -0.795122697,
                -1.959405418, -0.838896125, -0.774360941, -2.436267509, 0.176194805, -0.104622517, -0.424633881, -0.471164256,
                0.546657623, 1.663855593, -2.747389571, -1.345140714, -0.902974696, -1.372668483, 0.145426698, -0.848032356,
                0.177146540, -2.928674121, -3.962967080, 1.653450153, 0.337174429,
                -1.628325661, -0.282697415, -0.525038251, 2.653329671, 1.512807710, 0.324490682, 0.327725069, 0.570115395,
                1.610873631, 0.587607004, -1.606629419, 2.268062684, -1.125102977, -1.521209955, -0.849975348, -1.627384900,
                -0.559495627, -1.489952204, 0.483623681, -1.805295518, -1.051094242, 2.550524482, -0.566845570, 0.946799596,
                -1.393422957, -1.542245201, 0.661714508, 0.434217412, -1.246744551,
            ]),
        ["qwen2, window in the later block"] = new(
            """
            {"model_type": "qwen2", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "use_sliding_window": true, "sliding_window": 3, "max_window_layers": 1}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_proj.bias:16 model.layers.0.self_attn.k_proj.weight:16x32 model.layers.0.self_attn.o_proj.weight:32x32 model.layers.0.self_attn.q_proj.bias:32 model.layers.0.self_attn.q_proj.weight:32x32 model.layers.0.self_attn.v_proj.bias:16 model.layers.0.self_attn.v_proj.weight:16x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_proj.bias:16 model.layers.1.self_attn.k_proj.weight:16x32 model.layers.1.self_attn.o_proj.weight:32x32 model.layers.1.self_attn.q_proj.bias:32 model.layers.1.self_attn.q_proj.weight:32x32 model.layers.1.self_attn.v_proj.bias:16 model.layers.1.self_attn.v_proj.weight:16x32 model.norm.weight:32",
            [
                0.742113270, 2.961272667, 1.385759117, -3.123645845, 0.707907608, -0.981392624, 0.521270346, 0.453931740,
                -3.066001629, 1.089582144, 1.247803714, -3.021421093, -0.784577115, 0.866142616, 1.614522366, 0.839212942,
                -3.125596307, -1.227924577, -2.593914169, -0.367602061, -0.872288291, -1.470995310, 1.068219948, 0.120222126,
                -2.193430703, -1.587374476, -3.037635338, 2.978753900, 1.883482621,
                2.860336216, 3.081275761, 0.613590434, -0.154234849, -0.009044257, -0.976801385, 1.222183495, 1.134882315,
                -1.688779095, 0.475074876, -0.267871537, -1.076673959, -1.324230861, 1.126583429, 0.876185802, 1.275190075,
                -2.853381966, -1.577875826, -1.527639311, -1.585799208, 0.401708697, -1.343332373, 1.427905321, 1.124190519,
                -0.942429656, 0.225940603, 0.912472621, 0.871610236, 2.044334232,
            ]),
        ["qwen3"] = new(
            """
            {"model_type": "qwen3", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 12, "rms_norm_eps": 1e-05, "rope_theta": 500.0, "hidden_act": "silu", "tie_word_embeddings": false, "head_dim": 12, "attention_bias": false}
            """,
            "lm_head.weight:29x32 model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.self_attn.k_norm.weight:12 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_norm.weight:12 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.self_attn.k_norm.weight:12 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_norm.weight:12 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                -2.786490424, 1.367956798, -0.360360960, 0.146626916, -1.842181315, -0.070301246, -0.879176623, -1.706023853,
                -0.360412427, 0.133106507, -0.357713034, 1.947860727, -0.133328741, -1.401616056, -2.989820237, -0.458593437,
                4.222368633, -0.675994333, -0.112141220, -0.358864367, -2.005475969, 2.456908872, -2.411086122, -1.694959236,
                2.724883044, -0.506009434, 1.992040061, -2.413280067, -1.316679206,
                1.560394911, 4.824587633, 1.422595462, 2.195085326, 2.850212052, -1.769009811, 0.210968034, -0.461394809,
                -2.617332826, 3.483501736, 1.232773080, 0.089117458, -2.907824995, -1.393980414, -0.701940236, 0.241259427,
                -2.680829659, 0.151443221, -0.922878799, -1.157277643, -0.659888511, -1.650481749, 1.828924440, 1.389847374,
                1.677750961, -1.594343261, 0.428365038, 2.369427768, 3.213956953,
            ]),
        ["gemma2"] = new(
            """
            {"model_type": "gemma2", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 12, "rms_norm_eps": 1e-06, "rope_theta": 500.0, "hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh", "query_pre_attn_scalar": 20, "attn_logit_softcapping": 2.0, "final_logit_softcapping": 6.0, "sliding_window": 3}
            """,
            "model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.post_feedforward_layernorm.weight:32 model.layers.0.pre_feedforward_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.post_feedforward_layernorm.weight:32 model.layers.1.pre_feedforward_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                -0.396137533, 1.643486158, -0.979355047, -0.239748034, -1.965059498, 1.070127158, 4.088854146, -0.089711054,
                0.373214024, -1.053855529, -1.796337815, 0.780823459, -2.572663298, 1.353467396, 0.414018184, -2.316310170,
                0.495909056, 2.686175430, 0.483722650, 1.325218831, -0.838795815, 0.871003536, -2.020742528, 0.774695229,
                0.641771197, -1.856604435, -0.510336712, -1.038340228, -2.765861321,
                0.967704109, 1.394021107, 0.363146605, 3.460921020, 3.623317741, -1.251266119, 0.042232516, -1.403748552,
                -1.755804135, 3.823072601, 0.040108118, 0.631801752, -2.249886531, -1.157277082, 1.050898740, 1.967160473,
                -0.593256734, -0.154121602, -1.113084683, 0.748134848, 1.758859987, -0.063895461, 2.113829161, 0.189634040,
                0.611437500, -3.000380071, -0.490337021, 2.153515274, 1.844299524,
            ]),
        ["gemma2, no caps"] = new(
            """
            {"model_type": "gemma2", "vocab_size": 29, "hidden_size": 32, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12, "max_position_embeddings": 12, "rms_norm_eps": 1e-06, "rope_theta": 500.0, "hidden_activation": "gelu_pytorch_tanh", "hidden_act": "gelu_pytorch_tanh", "query_pre_attn_scalar": 20, "attn_logit_softcapping": null, "final_logit_softcapping": null, "sliding_window": 3}
            """,
            "model.embed_tokens.weight:29x32 model.layers.0.input_layernorm.weight:32 model.layers.0.mlp.down_proj.weight:32x40 model.layers.0.mlp.gate_proj.weight:40x32 model.layers.0.mlp.up_proj.weight:40x32 model.layers.0.post_attention_layernorm.weight:32 model.layers.0.post_feedforward_layernorm.weight:32 model.layers.0.pre_feedforward_layernorm.weight:32 model.layers.0.self_attn.k_proj.weight:24x32 model.layers.0.self_attn.o_proj.weight:32x48 model.layers.0.self_attn.q_proj.weight:48x32 model.layers.0.self_attn.v_proj.weight:24x32 model.layers.1.input_layernorm.weight:32 model.layers.1.mlp.down_proj.weight:32x40 model.layers.1.mlp.gate_proj.weight:40x32 model.layers.1.mlp.up_proj.weight:40x32 model.layers.1.post_attention_layernorm.weight:32 model.layers.1.post_feedforward_layernorm.weight:32 model.layers.1.pre_feedforward_layernorm.weight:32 model.layers.1.self_attn.k_proj.weight:24x32 model.layers.1.self_attn.o_proj.weight:32x48 model.layers.1.self_attn.q_proj.weight:48x32 model.layers.1.self_attn.v_proj.weight:24x32 model.norm.weight:32",
            [
                -0.241295426, 1.515989501, -1.320240860, -0.283471026, -1.929888815, 1.060020866, 4.838825974, -0.219752838,
                0.146232591, -1.405961379, -2.097884584, 0.645928517, -2.639320238, 1.530266070, 0.542567490, -2.507489069,
                0.313368045, 3.044230637, 0.531321930, 1.173385586, -0.624804777, 0.574456452, -2.145285149, 0.750416478,
                0.399255175, -1.927567882, -0.577160352, -1.133162539, -3.119343073,
                0.978059075, 1.290815892, 0.271755224, 3.873216493, 4.178624653, -1.237265689, -0.076389611, -1.398493221,
                -1.727867438, 4.450349257, -0.119421746, 0.611437637, -2.187022966, -1.057246327, 1.070727901, 1.932557822,
                -0.761629889, -0.291102536, -1.216113379, 0.673390029, 1.947120982, -0.227675699, 2.261416038, 0.466662459,
                0.629386812, -3.081431235, -0.467574919, 2.329019399, 1.785305420,
            ]),
    };
}
