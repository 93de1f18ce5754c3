package org.tfvae.sample

import android.content.Context
import com.google.ai.edge.litert.Environment
import com.google.android.gms.litert.LiteRt
import com.google.android.gms.tasks.Tasks

/**
 * LiteRT of Google Play services. Waits for it, so not to be called on the main thread.
 *
 * Started without options it has no GPU, and the models run on the CPU; `initialize` also takes options, among them
 * `setEnableGpu(true)`. Throws `ExecutionException` where Google Play services are missing or too old.
 */
fun startLiteRt(context: Context): Environment = Tasks.await(LiteRt.initialize(context))
