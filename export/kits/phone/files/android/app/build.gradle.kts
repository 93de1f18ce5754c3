import javax.inject.Inject

plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

/** Copies what the app needs out of a bundle when the app is built: the project opens without one. */
abstract class CopyModels : DefaultTask() {
    @get:InputFiles
    abstract val files: ConfigurableFileCollection

    @get:OutputDirectory
    abstract val assets: DirectoryProperty

    @get:Inject
    abstract val system: FileSystemOperations

    @TaskAction
    fun copy() {
        val tensors = files.single { it.name == "tensors.json" }
        if (!tensors.isFile) {
            throw GradleException("There is no $tensors. Build with -Pbundle=/path/to/bundle")
        }
        system.sync {
            from(files) // a variant that was withheld is left out
            into(assets)
        }
    }
}

android {
    namespace = "org.tfvae.sample"
    compileSdk = 36

    defaultConfig {
        applicationId = "org.tfvae.sample"
        minSdk = 28 // ImageDecoder; LiteRT itself asks for 24
        targetSdk = 36
        versionCode = 1
        versionName = "1.0"
    }
    flavorDimensions += "runtime"
    productFlavors {
        // LiteRT in the app: for every phone, those without Google Play included, and what the NPU needs.
        create("bundled") {
            dimension = "runtime"
            isDefault = true
        }
        // LiteRT of Google Play services, which keeps it up to date: an app smaller by up to 8 MB.
        create("play") {
            dimension = "runtime"
        }
    }
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_17
        targetCompatibility = JavaVersion.VERSION_17
    }
    androidResources {
        noCompress += "tflite" // so that a model can be mapped into memory from the package
    }
}

// In the bundle, this project is phone/android.
val bundle = rootProject.layout.projectDirectory.dir(providers.gradleProperty("bundle").orElse("../.."))
val models = listOf("encoder.tflite", "decoder.tflite", "encoder_int8.tflite", "decoder_int8.tflite")

androidComponents {
    onVariants { variant ->
        val title = variant.name.replaceFirstChar(Char::uppercase)
        val copyModels = tasks.register<CopyModels>("copy${title}Models") {
            files.from((models + "phone/tensors.json").map { name -> bundle.map { it.file(name) } })
        }
        variant.sources.assets?.addGeneratedSourceDirectory(copyModels, CopyModels::assets)
    }
}

kotlin {
    jvmToolchain(17)
}

dependencies {
    "bundledImplementation"("com.google.ai.edge.litert:litert:2.4.0")
    "bundledImplementation"("com.google.ai.edge.litert:litert-gpu:2.4.0")
    "playImplementation"("com.google.android.gms:play-services-litert:17.0.0")
}
